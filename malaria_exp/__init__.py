"""malaria_exp: an experiment framework for diagnosing malaria from images of single blood cells."""

__version__ = "0.1.0"
