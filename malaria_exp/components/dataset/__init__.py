"""Datasets: each builder returns a CellTable."""
