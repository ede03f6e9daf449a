"""Storage: each builder returns a place that a finished run is copied to."""
