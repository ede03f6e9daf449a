"""predictions.csv of new images: written batch by batch, gone on with after a kill, and read one row at a time."""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from malaria_exp.config.run_files import RESUME, RESUME_PREDICTION
from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.deployment.score_images import ImageScore
from malaria_exp.runs.read_files import PREDICTIONS
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.csv_files import from_cell, to_cell
from malaria_exp.utils.errors import RunFolderError

# In the folder `resume`, as long as it is not finished: the rows so far, and what they are rows of.
PART, IDENTITY = Path(RESUME) / PREDICTIONS, Path(RESUME) / RESUME_PREDICTION
LOOKS, OOD_SCORES, TRAINED_ON, YES, NO = "looks_like_training_data", "ood_scores", "trained_on", "yes", "no"


class PredictedImage(NamedTuple):
    """A row of predictions.csv.

    Attributes:
        number: of the image, from 0.
        file: its name.
        score: the calibrated probability of parasitized, in [0, 1]; None of an image that cannot be used.
        foreign: whether it does not look like the training data; None if nothing is known of that.
        why_not: in which respects, in words.
        error: why it cannot be used; empty if it can.
        ood: its OOD scores, one a part of the detector.
        trained_on: whether the model was trained on it; None if nothing is known of that.
    """

    number: int
    file: str
    score: float | None
    foreign: bool | None
    why_not: str
    error: str
    ood: tuple[float, ...] = ()
    trained_on: bool | None = None


def threshold_column(name: str) -> str:
    """Returns the name of the column that holds the class predicted at a threshold."""
    return f"predicted_{name}"


def columns(facts: ModelFacts) -> list[str]:
    """Returns the columns of predictions.csv: file, score, the predicted class at each threshold, what of the training data, error."""
    return ["file", "score", *map(threshold_column, facts.thresholds), LOOKS, "why_not", OOD_SCORES, TRAINED_ON, "error"]


def to_row(facts: ModelFacts, file: str, found: ImageScore) -> list[Any]:
    """Returns the row of an image; scores are written so that reading them gives the same float64 again."""
    if found.score is None:
        return [file, None, *[None] * len(facts.thresholds), None, None, None, None, found.error]
    looks = None if found.warnings is None else NO if found.warnings else YES
    ood = " ".join(f"{value:.7g}" for value in found.ood) or None
    trained_on = None if found.trained_on is None else YES if found.trained_on else NO
    return [
        file,
        found.score,
        *facts.predicted(found.score).values(),
        looks,
        "; ".join(found.warnings or ()) or None,
        ood,
        trained_on,
        None,
    ]


class PartFile:
    """The rows of a prediction that is not finished.

    Only whole batches are kept of one that was cut off: a row may be torn, and a batch is computed as a whole.

    Args:
        folder: the run folder.
        header: names of the columns.
        identity: what the rows depend on, plain values.
        batch_size: rows that are written at once.

    Attributes:
        done: number of rows that stand there.

    Raises:
        RunFolderError: rows that were computed of something else stand there.
    """

    def __init__(self, folder: Path, header: Sequence[str], identity: Mapping[str, Any], batch_size: int) -> None:
        self._folder, self._path = folder, folder / PART
        self._path.parent.mkdir(exist_ok=True)
        if not (folder / IDENTITY).exists():
            write_json(folder / IDENTITY, dict(identity))
        if changed := [key for key, value in identity.items() if _read_identity(folder).get(key) != value]:
            raise RunFolderError(
                f"run: '{folder}' holds the beginning of a prediction that cannot go on, as this has changed since: {', '.join(changed)}."
                " Begin a new one."
            )
        end, lines = _whole_lines(self._path, batch_size)
        self._file = self._path.open("r+b" if end else "wb")
        self._file.truncate(end)
        self._file.seek(end)
        # The header is no row of an image.
        self.done = lines - 1
        if not lines:
            self.append([header])

    def append(self, rows: Sequence[Sequence[Any]]) -> None:
        """Writes rows, so that they survive the end of this process; no text is a formula for a spreadsheet."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([to_cell(value) for value in row] for row in rows)
        self._file.write(text.getvalue().encode())
        self._file.flush()
        self.done += len(rows)

    def finish(self) -> None:
        """Makes it predictions.csv, whole on the disk."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._folder / PREDICTIONS)
        shutil.rmtree(self._path.parent)

    def close(self) -> None:
        """Closes the file; its rows stay."""
        self._file.close()


def has_part(folder: Path) -> bool:
    """Tells whether a prediction that was cut off can go on in a folder."""
    return (folder / IDENTITY).is_file()


def read_rows(path: Path, facts: ModelFacts, start: int = 0) -> Iterator[PredictedImage]:
    """Reads predictions.csv, holding one row in memory; the first image has the number `start`.

    Raises:
        RunFolderError: it is not what a prediction with this model wrote.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        header = columns(facts)
        try:
            if (found := next(rows, [])) != header:
                raise RunFolderError(f"run: '{path}': expected the columns {', '.join(header)}; received {', '.join(found)}.")
            for number, row in enumerate(rows, start):
                values = dict(zip(header, row, strict=True))
                score, looks = values["score"], values[LOOKS]
                yield PredictedImage(
                    number,
                    from_cell(values["file"]),
                    float(score) if score else None,
                    {YES: False, NO: True}.get(looks),
                    from_cell(values["why_not"]),
                    from_cell(values["error"]),
                    tuple(map(float, from_cell(values[OOD_SCORES]).split())),
                    {YES: True, NO: False}.get(values[TRAINED_ON]),
                )
        except (csv.Error, ValueError) as error:
            raise RunFolderError(f"run: '{path}', line {rows.line_num}: {error}.") from None


def _read_identity(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"run: '{folder / IDENTITY}' cannot be read: {error}.") from None
    return found if isinstance(found, dict) else {}


def _whole_lines(path: Path, batch_size: int) -> tuple[int, int]:
    """Returns where the whole batches behind the header end, in bytes, and the number of lines up to there, header included."""
    end = lines = 0
    if not path.exists():
        return 0, 0
    position = count = 0
    with path.open("rb") as file:
        for line in file:
            position, count = position + len(line), count + 1
            # No name, word or reason holds a line break: a line is a row.
            if line.endswith(b"\n") and (count - 1) % batch_size == 0:
                end, lines = position, count
    return end, lines
