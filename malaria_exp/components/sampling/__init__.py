"""Samplings: each builder returns which of the training cells an epoch's batches hold."""
