"""Explanations: each builder returns a method that maps which places of a cell a score depends on."""
