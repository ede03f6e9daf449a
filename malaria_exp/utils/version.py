"""The version of malaria_exp, and of what is installed beside it."""

__version__ = "0.1.0"


def installed_version(package: str) -> str | None:
    """Returns the version of an installed package, by its name on PyPI; None if it is not installed."""
    from importlib import metadata  # imported late: every start of the program reads this file

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
