"""For whom a model does better or worse: patients and slides in groups, each against all others."""
