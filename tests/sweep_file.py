"""Writing a sweep's file for a test."""

import yaml


def write_sweep(path, parameters, **content):
    """Writes a grid over the parameters, with other keys as they are given; returns the path."""
    raw = {
        "program": "run.py",
        "method": "grid",
        "metric": {"name": "epoch/val_auc", "goal": "maximize"},
        "parameters": parameters,
        "command": ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"],
        **content,
    }
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path
