"""The version of malaria_exp."""

__version__ = "0.1.0"
