"""A run's life: the pipeline, the run folder, provenance, saved and initial weights, finished and remote runs, copies."""
