"""Numbers by name: an epoch of history.csv, the final numbers of a run."""

Row = dict[str, float]
