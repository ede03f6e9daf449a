"""Which images are cells that a model was trained on: told by the hashes of their pixels, whatever file they stand in."""

from typing import Annotated

from malaria_exp.config.validation import Pattern, check
from malaria_exp.data.fingerprints import DIGITS
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.deployment.bundle import MODELS
from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.runs.read_files import SPLIT, read_split
from malaria_exp.runs.saved_model import MODEL_RECORD
from malaria_exp.utils.errors import ConfigError, RunFolderError

# The key of a bundle's model.json.
GUARD = "guard"
Digits = Annotated[str, Pattern(rf"[0-9a-f]{{{DIGITS}}}", f"{DIGITS} hexadecimal digits")]


def guard_of(manifest: Manifest) -> list[str]:
    """Returns `pixel_hash` of the training cells, sorted, each once; empty where their pixels are not known.

    The thumbnails of their fingerprints stay out: a hash tells a cell by its pixels, and shows nothing of it.
    """
    if manifest.pixels is None:
        return []
    return sorted({pixels[:DIGITS] for pixels in manifest.pixels[manifest.rows("train")].tolist()} - {""})


def read_guard(facts: ModelFacts) -> frozenset[str]:
    """Returns `pixel_hash` of the cells that a model was trained on: of a bundle those in its model.json, of a run those of its split.

    Returns:
        The hashes; empty where none are known, as without split.csv.

    Raises:
        RunFolderError: model.json or split.csv is damaged.
    """
    if MODELS not in facts.record:
        split = facts.folder / SPLIT
        return frozenset(guard_of(read_split(split, "of the run"))) if split.exists() else frozenset()
    try:
        return frozenset(check(GUARD, facts.record.get(GUARD, []), list[Digits]))
    except ConfigError as error:
        raise RunFolderError(f"run: '{facts.folder / MODEL_RECORD}': {error}") from None
