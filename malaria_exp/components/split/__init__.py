"""Splits: each builder takes the CellTable and returns a Manifest, the subset of each cell."""
