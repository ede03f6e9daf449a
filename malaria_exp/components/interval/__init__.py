"""Intervals: each builder returns a method that gives every metric its confidence interval over patients."""
