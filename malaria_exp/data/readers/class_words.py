"""The words that name a class, as folders, labels and the fronts of file names are spelled."""

import re
from collections.abc import Mapping

SEPARATORS = re.compile(r"[\s_.-]+")


def class_word(name: str) -> str:
    """Returns a folder's name or a label as it is compared: in lower case, with a blank for any of " _.-"."""
    return " ".join(SEPARATORS.sub(" ", name.lower()).split()) or name.lower()


def class_prefix(stem: str, class_of: Mapping[str, str]) -> tuple[str | None, str]:
    """Returns the class that a name carries in front, or None, and the name without it.

    Args:
        stem: a file's name without folder and ending, such as "ParasitizedC33P1thinF_IMG_...".
        class_of: class name by word.
    """
    for word in sorted(class_of, key=len, reverse=True):
        spelled = "[ _.-]*".join(re.escape(part) for part in SEPARATORS.split(word) if part) or re.escape(word)
        # "normal" is not in front of "normalized_1", nor "malaria" of "malarias1".
        match = re.match(rf"(?i:{spelled})(?:[ _.-]+(?=\w)|(?=[A-Z0-9]))", stem)
        if match:
            return class_of[word], stem[match.end() :]
    return None, stem
