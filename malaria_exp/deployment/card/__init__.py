"""The model card of a run, and the reporting checklists, answered from the run's own records."""
