"""What `evaluate` needs beside predictions, as a run with the default configuration has it."""

from malaria_exp.config.registry import build

RULES = {"fixed": build("threshold", "fixed", {}), "target_sensitivity": build("threshold", "target_sensitivity", {"target": 0.9})}
SETTINGS = {"thresholds": RULES, "interval": build("interval", "clustered", {}), "resamples": 50, "confidence": 0.95, "seed": 0}
