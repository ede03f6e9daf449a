"""What this program needs of other packages."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

OWN = "malaria_exp"


def requirements(home: Path) -> dict[str, list[Requirement]]:
    """Returns the requirements of the program ("") and of each of its extras, those of other extras within it left out.

    Args:
        home: the clone's folder, whose pyproject.toml is newer than what an editable installation remembers; without one the
            installation's own metadata is read.

    Raises:
        PackageNotFoundError: neither is there.
    """
    path = home / "pyproject.toml"
    if path.is_file():
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        listed = {"": project["dependencies"], **project["optional-dependencies"]}
    else:
        listed = {"": []}
        for text in metadata.requires(OWN) or []:
            extra = re.search(r"extra == ['\"]([\w-]+)['\"]", text)
            listed.setdefault(extra[1] if extra else "", []).append(text.partition(";")[0])
    return {extra: [found for found in map(Requirement, texts) if found.name.replace("-", "_") != OWN] for extra, texts in listed.items()}
