"""Calibrations: each builder returns a function that fits a map of logits to validation cells; see `malaria_exp.evaluation.calibration`."""
