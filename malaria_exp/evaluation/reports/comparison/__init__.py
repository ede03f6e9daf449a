"""The comparison of runs: what differs, results with their intervals, and the curves of the trainings."""
