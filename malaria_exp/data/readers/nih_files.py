"""The three official files of the NIH set: where they are fetched from, where they are kept, and how the mappings read."""

import os
import re
from pathlib import Path

from malaria_exp.utils.download import fetch
from malaria_exp.utils.errors import ConfigError, DataError, listing
from malaria_exp.utils.resuming_download import RemoteFile

HOME = "https://data.lhncbc.nlm.nih.gov/public/Malaria"
ZIP = "cell_images.zip"
# Size in bytes and SHA-256 of each file.
OFFICIAL = {
    ZIP: (353_452_851, "0a949556b2414159b5100192609805376654c4266d8d187be9b1922fad43c668"),
    "patientid_cellmapping_parasitized.csv": (761_124, "d0367e513397404e980baee2a641bce9ce329a22e62ea9007962dfca2f8418d3"),
    "patientid_cellmapping_uninfected.csv": (667_059, "a8577b21e7154724f4bbd18326218e2c63a99b22ab372b79a7530d36df6dab78"),
}
ROOT_VARIABLE = "MALARIA_EXP_DATA"
DEFAULT_ROOT = "~/.local/share/malaria_exp"
ADVICE = (
    "If you have the data, say where: dataset.path=/where/it/is/cell_images.zip (or the folder it was unpacked to);"
    " to try everything without it: dataset=synthetic"
)


def download(root: str | None, url: str) -> tuple[Path, list[Path]]:
    """Returns the paths of the zip and of the mappings, fetched into the data folder unless they lie there already.

    Args:
        root: the data folder; None for the environment's MALARIA_EXP_DATA, else ~/.local/share/malaria_exp.
        url: address of the folder that holds the three files.

    Raises:
        DataError: offline, refused, or not the official files.
    """
    try:
        folder = Path(root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).expanduser() / "nih"
    except RuntimeError as error:
        raise ConfigError(f"dataset.root: '{root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT}': {error}") from None
    # The small ones first: a missing connection then shows at once.
    names = sorted(OFFICIAL, key=lambda name: OFFICIAL[name][0])
    setting = f"dataset.root=... or the environment variable {ROOT_VARIABLE}"
    paths = {
        name: fetch(RemoteFile(f"{url.rstrip('/')}/{name}", *OFFICIAL[name]), folder / name, hint=ADVICE, setting=setting) for name in names
    }
    return paths[ZIP], [path for name, path in paths.items() if name != ZIP]


def check_mappings(slide_of_file: dict[str, str], paths: list[Path]) -> None:
    """Compares the slides of the file names with the official mapping CSVs.

    The CSVs have no header and CRLF line ends; a row is `slide,['a.png', 'b.png', ...],,,,` with the list unquoted, which a CSV
    reader would split.

    Args:
        slide_of_file: slide by file name, from the names' grammar.
        paths: the mapping files.

    Raises:
        ConfigError: a mapping file does not exist or cannot be read.
        DataError: a row has another form, a file stands under another slide, or a file stands in no mapping.
    """
    mapped: dict[str, str] = {}
    for path in paths:
        try:
            text = path.expanduser().read_text(encoding="utf-8-sig", errors="replace")
        except FileNotFoundError:
            raise ConfigError(f"dataset.mappings: no file '{path}'.") from None
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"dataset.mappings: '{path}' cannot be read: {getattr(error, 'strerror', None) or error}.") from None
        for number, row in enumerate(text.splitlines(), 1):
            match = re.fullmatch(r"([^,\[]+),\[(.*)\],*", row.strip())
            if row.strip() and match is None:
                raise DataError(f"{path}, line {number}: expected slide,['a.png', ...]; received {row[:60]!r}.")
            if match:
                mapped |= dict.fromkeys(re.findall(r"'([^']+)'", match[2]), match[1])
    wrong = [
        f"{file}: name says {slide}, mapping says {mapped.get(file, 'nothing')}"
        for file, slide in slide_of_file.items()
        if mapped.get(file) != slide
    ]
    if wrong:
        raise DataError(f"dataset.mappings: {len(wrong)} of {len(slide_of_file)} files do not agree with the mapping:\n{listing(wrong)}")
