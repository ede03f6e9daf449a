"""The registry of components, and the configuration of a run: checked against types before any work starts."""
