"""Evaluation: from scores to metrics, intervals, plots and the report."""
