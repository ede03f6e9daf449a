"""Optimizers: each builder takes the schedule's factor and returns a Keras optimizer."""
