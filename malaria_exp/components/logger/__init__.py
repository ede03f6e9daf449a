"""Loggers: each builder takes the run's folder and returns a Logger."""
