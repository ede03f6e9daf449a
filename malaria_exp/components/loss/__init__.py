"""Losses: each builder returns a Keras loss on logits."""
