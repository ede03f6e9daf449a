"""Figures: of results, data, models, augmentations, schedules, comparisons and searches."""
