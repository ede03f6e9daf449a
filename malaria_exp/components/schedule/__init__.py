"""Schedules: each builder takes the run's length and returns the learning rate's factor as a function of the step."""
