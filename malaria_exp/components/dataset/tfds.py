"""TensorFlow Datasets' `malaria`, as TFDS itself prepares it, with the patients restored.

TFDS keeps only the bytes of the PNG files and a label (0 = parasitized). The packaged index gives each cell's name by the SHA-256 of its
bytes, and the name gives patient, slide and field. Source: https://www.tensorflow.org/datasets/catalog/malaria
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import gaierror
from typing import TYPE_CHECKING, Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Pattern, Probability
from malaria_exp.data.cell_table import CLASS_NAMES, UNKNOWN, BadImage, BadImagePolicy, CellTable, OnBadImage
from malaria_exp.data.decode import EMPTY
from malaria_exp.data.readers.assemble import Cell, assemble
from malaria_exp.data.readers.index import look_up
from malaria_exp.data.readers.nih_files import HOME, ZIP
from malaria_exp.utils.errors import ConfigError, DataError, listing
from malaria_exp.utils.progress_bars import console, track
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import tensorflow_datasets

INSTALL = "python -m pip install 'malaria_exp[tfds]' (from a clone: python -m pip install --editable '.[tfds]')"

PREPARE_AGAIN = "Delete that folder, and the same command prepares it again; or give another: dataset.data_dir=..."


@register("dataset", "tfds")
def tfds(
    *,
    data_dir: Annotated[str, Pattern(r".+", "the path of a folder")] | None = None,
    download: bool = True,
    on_bad_image: OnBadImage = "error",
    max_bad_fraction: Probability = 0.01,
) -> CellTable:
    """TensorFlow Datasets' malaria, its patients restored by the content of the images.

    Args:
        data_dir: the folder of TFDS' datasets; null for its own default, $TFDS_DATA_DIR or ~/tensorflow_datasets.
        download: let TFDS fetch and prepare the dataset, if it is not there; 353 MB.
        on_bad_image: error stops before any training and lists all bad images; skip excludes and records them.
        max_bad_fraction: the largest fraction of bad images with which skip goes on.

    Raises:
        ConfigError: tensorflow-datasets is not installed.
        DataError: the dataset is not there and cannot be fetched, is damaged, or its labels contradict the index.
    """
    builder = prepared_builder(data_dir, download=download)
    names = builder.info.features["label"].names
    if sorted(names) != sorted(CLASS_NAMES):
        raise DataError(
            f"dataset=tfds: expected the classes {', '.join(CLASS_NAMES)} in '{builder.data_path}', received {', '.join(names)}."
        )
    records = Records(builder)
    cells, hashes, wrong, bad = [], {}, [], []
    for index, (data, label) in enumerate(track(records.all(), "reading TFDS records", total=len(records.names))):
        if not data:
            # Two empty files have the same hash, but they are no copies of one image.
            bad.append(BadImage(records.names[index], EMPTY))
            continue
        hashes[index] = hashlib.sha256(data).hexdigest()
        known, class_name = look_up(hashes[index]), names[label]
        if known is None:
            cells.append(Cell(index, class_name, f"tfds_{hashes[index][:12]}", UNKNOWN, UNKNOWN, UNKNOWN))
        elif known.class_name != class_name:
            wrong.append(f"{known.cell_id}: {class_name} here, {known.class_name} in the index")
        else:
            cells.append(Cell(index, class_name, known.cell_id, *known.parts))
    if wrong:
        raise DataError(
            f"dataset=tfds: the labels of {len(wrong):,} cells in '{builder.data_path}' contradict the NIH set's:\n{listing(wrong)}"
        )
    unknown = [f"record {cell.number} ({cell.cell_id})" for cell in cells if cell.patient == UNKNOWN]
    notes = []
    if unknown:
        notes.append(
            f"{len(unknown):,} of {len(cells):,} TFDS records are none of the NIH set's 27,558 files, so their patients are not known:\n"
            f"{listing(unknown)}"
        )
    policy = BadImagePolicy(on_bad_image, max_bad_fraction)
    return assemble("tfds", records, cells, hashes, bad=bad, policy=policy, notes=notes)


def prepared_builder(data_dir: str | None, *, download: bool) -> "tensorflow_datasets.core.DatasetBuilder":
    """Returns TFDS' builder of `malaria`, prepared; see `tfds` for the parameters and errors."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ConfigError(f"dataset=tfds needs the package tensorflow-datasets ({error}). Install it: {INSTALL}") from None
    # Before TFDS loads TensorFlow without the settings that make a run repeatable.
    load_tensorflow()
    if not console().is_terminal:
        tensorflow_datasets.disable_progress_bar()
    folder = None if data_dir is None else str(Path(data_dir).expanduser())
    try:
        builder = tensorflow_datasets.builder("malaria", data_dir=folder)
    except Exception as error:  # noqa: BLE001 - TFDS raises many types on a damaged record
        where = Path(folder or tensorflow_datasets.core.constants.DATA_DIR) / "malaria"
        raise DataError(f"dataset=tfds: what lies in '{where}' cannot be read: {_first_line(error)}. {PREPARE_AGAIN}") from None
    if "train" in builder.info.splits:
        return builder
    if not download:
        raise DataError(f"dataset=tfds: nothing is prepared in '{builder.data_path}'. Let TFDS fetch it: dataset.download=true")
    log.info(f"dataset   tfds: fetching and preparing malaria in {builder.data_path}")
    try:
        _check_online(Path(builder.data_path).parents[1] / "downloads")
        builder.download_and_prepare()
    except Exception as error:  # noqa: BLE001 - TFDS and the network below it raise many types
        raise DataError(
            f"dataset=tfds: TFDS could not fetch and prepare malaria in '{builder.data_path}': {_first_line(error)}\nIf you have it prepared,"
            " say where: dataset.data_dir=...; with the official zip: dataset=nih dataset.path=cell_images.zip; without any data:"
            " dataset=synthetic"
        ) from None
    return builder


def _first_line(error: Exception) -> str:
    """Returns the first line of an error's text, without the operations that TensorFlow names around it."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"\{\{.*?\}\} *| *\[Op:.*$", "", line).rstrip(".")


def _check_online(downloads: Path) -> None:
    """Raises a ConnectionError if there is no network, because TFDS itself would try for minutes.

    Args:
        downloads: TFDS' folder of downloads; if the zip is there already, no network is needed.
    """
    if any(downloads.rglob("*cell_imag*.zip")):
        return
    try:
        urlopen(Request(f"{HOME}/{ZIP}", method="HEAD"), timeout=30).close()  # noqa: S310 - an https address
    except HTTPError:
        # There is a network; TFDS handles the server's answer, and certificates too.
        return
    except URLError as error:
        if isinstance(error.reason, (gaierror, ConnectionError, TimeoutError)):
            raise ConnectionError(f"no connection to {HOME}: {error.reason}") from None


class Records:
    """TFDS' records as files; see data.readers.files.Files.

    All bytes, 330 MB, are read when the first record is asked for, and released after as many reads as there are records. That is enough
    for decoding each record once, so the training that follows does not hold them in memory.

    Args:
        builder: prepared.
    """

    def __init__(self, builder: "tensorflow_datasets.core.DatasetBuilder") -> None:
        self.path = str(builder.data_path)
        self.names = [f"record {index}" for index in range(builder.info.splits["train"].num_examples)]
        self.folders: list[str] = []
        self.unsafe: list[str] = []
        # Records have no files of their own, whose sizes could tell anything.
        self.heads: dict[int, tuple[int, bytes]] = {}
        self._builder = builder
        self._bytes: list[bytes] = []
        self._reads = 0
        self._lock = threading.Lock()

    def all(self) -> Iterator[tuple[bytes, int]]:
        """Yields each record's PNG bytes, as they are on disk, and its label in TFDS' numbers, in the order of the files."""
        import tensorflow as tf
        import tensorflow_datasets

        dataset = self._builder.as_dataset(
            split="train",
            shuffle_files=False,
            decoders={"image": tensorflow_datasets.decode.SkipDecoding()},
            read_config=tensorflow_datasets.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        )
        record: dict[str, Any]
        try:
            for record in dataset.as_numpy_iterator():
                yield record["image"], int(record["label"])
        except tf.errors.OpError as error:
            raise DataError(f"dataset=tfds: the records in '{self.path}' are damaged: {_first_line(error)}. {PREPARE_AGAIN}") from None

    def read(self, index: int) -> bytes:
        """Returns a record's PNG bytes."""
        with self._lock:
            if not self._bytes:
                self._bytes, self._reads = [data for data, _ in self.all()], 0
            data = self._bytes[index]
            self._reads += 1
            if self._reads == len(self._bytes):
                self._bytes = []
        return data
