"""Schedules: each builder takes the run's length and returns the learning-rate multiplier, a function of the step."""
