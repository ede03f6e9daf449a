"""Augmentations: each builder returns a function from a training batch and a seed to a batch."""
