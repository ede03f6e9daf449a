"""What a model says of patients, not of cells: fractions of parasitized cells, agreement, detection limits, predictive values."""
