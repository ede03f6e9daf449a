"""Tasks: what is run over the same parts; each builder takes the App and does the work."""
