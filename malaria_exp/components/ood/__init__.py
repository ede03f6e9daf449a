"""Detectors of images that do not look like the training data: each builder returns what its distances are measured from; see `malaria_exp.evaluation.ood`."""
