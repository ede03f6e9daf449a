"""Trainers: each builder returns an object whose train() fits a model to the training subset."""
