"""Who runs the jobs of a multirun: engines for many processes on one machine or on many."""
