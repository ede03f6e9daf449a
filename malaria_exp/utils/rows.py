"""The type of numbers by name, such as an epoch of history.csv or the final numbers of a run."""

Row = dict[str, float]
