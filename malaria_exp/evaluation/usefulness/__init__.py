"""What predictions are good for: leaving doubtful cells to a person, a bound on what is missed, and a use that is worth more than none."""
