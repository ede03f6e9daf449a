"""Metrics of the training batches: each builder returns a Keras metric of labels (B, 1), soft or not, and logits (B, 1)."""
