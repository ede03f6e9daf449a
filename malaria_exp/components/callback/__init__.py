"""Callbacks: each builder returns a Keras callback that hears of every step and epoch of the training."""
