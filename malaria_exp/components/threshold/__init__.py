"""Thresholds: each builder returns the rule by which one is chosen on validation patients."""
