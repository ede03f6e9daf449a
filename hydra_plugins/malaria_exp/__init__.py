"""The sweeper and the launchers of malaria_exp, where Hydra finds them by itself.

Hydra imports this module whenever it starts, and accepts as plugins only classes that are defined in the package hydra_plugins.
So the classes are defined here and their code is in malaria_exp.sweeps; the engines they need are imported when jobs are launched.
"""

from malaria_exp.sweeps import grid_sweeper
from malaria_exp.sweeps.launcher import joblib, ray, submitit


class GridSweeper(grid_sweeper.GridSweeper):
    """conf/hydra/sweeper/grid.yaml."""


class JoblibLauncher(joblib.JoblibLauncher):
    """conf/hydra/launcher/joblib.yaml."""


class SubmititLauncher(submitit.SubmititLauncher):
    """conf/hydra/launcher/submitit_local.yaml and submitit_slurm.yaml."""


class RayLauncher(ray.RayLauncher):
    """conf/hydra/launcher/ray.yaml."""
