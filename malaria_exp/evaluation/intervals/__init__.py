"""Confidence intervals with the patient as the unit: cells of one patient resemble each other, so intervals over cells are too narrow."""
