"""Optimizers: each builder takes the schedule's learning-rate multiplier and returns a Keras optimizer."""
