"""A run or bundle of the Python API, with what its model says of new images."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from malaria_exp.data.decode import decode
from malaria_exp.deployment.deployed_model import DeployedModel
from malaria_exp.deployment.image_sources import open_images
from malaria_exp.deployment.score_images import Decode, score_images
from malaria_exp.deployment.trained_on import read_guard
from malaria_exp.runs.run import Run
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.runs.saved_model import MODEL_RECORD
from malaria_exp.utils.errors import DataError

# An image: its pixels, RGB uint8 (height, width, 3); the bytes of its file; or its path or URL.
AnyImage = np.ndarray | bytes | str | PathLike[str]


@dataclass(frozen=True, eq=False)
class ImagePredictions:
    """What a model says of N images.

    Attributes:
        file: names of the images; their numbers where they have none.
        score: the calibrated probability of parasitized, float64 (N,) in [0, 1]; nan of an image that cannot be used.
        predicted: by threshold, the predicted classes, str (N,); "" of an image that cannot be used.
        looks_like_training_data: True or False of each image; None where nothing is known of that.
        why_not: of each image, in which respects it does not, in words.
        trained_on: whether the model was trained on an image of these very pixels, True or False of each; None where nothing is known of that.
        error: why it cannot be used; "" of one that can.
    """

    file: list[str]
    score: np.ndarray
    predicted: dict[str, np.ndarray]
    looks_like_training_data: list[bool | None]
    why_not: list[tuple[str, ...]]
    trained_on: list[bool | None]
    error: list[str]

    def __len__(self) -> int:
        return len(self.file)

    def __repr__(self) -> str:
        counts = ", ".join(f"{int((classes == 'parasitized').sum()):,} parasitized at {name}" for name, classes in self.predicted.items())
        return f"ImagePredictions({len(self):,} images: {counts}; {sum(map(bool, self.error)):,} cannot be used)"


class DeployedRun(Run):
    """A finished run, or a bundle, of which only the folder and `predict` are there.

    Args:
        folder: the run folder or the bundle, on this machine.

    Raises:
        RunFolderError: it is neither.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if (folder / STATUS).exists() or not (folder / MODEL_RECORD).is_file():
            super().__init__(folder)

    def __repr__(self) -> str:
        return super().__repr__() if (self.folder / STATUS).exists() else f"DeployedRun('{self.folder}', bundle)"

    @cached_property
    def _model(self) -> DeployedModel:
        from malaria_exp.deployment.open_model import open_model

        return open_model(self.folder)

    @cached_property
    def _guard(self) -> frozenset[str]:
        return read_guard(self._model.facts)

    def predict(self, images: AnyImage | Sequence[AnyImage], *, batch_size: int = 256) -> ImagePredictions:
        """Scores new images, as task=predict does.

        Args:
            images: an image or several: pixels, RGB uint8 (height, width, 3), also as one array (N, height, width, 3); bytes of image files;
                or whatever `images=...` names on the command line: paths of files, folders, zips and lists, patterns, URLs.
            batch_size: images scored in one call.

        Raises:
            DataError: there are no images, or an array is not of this form. An image that cannot be decoded is an `error` of the result.
            RunFolderError: the run or bundle is damaged, or has no model.
        """
        several = list(images) if isinstance(images, Sequence | np.ndarray) and not isinstance(images, str | bytes) else [images]
        if isinstance(images, np.ndarray) and images.ndim == 3:
            several = [images]
        paths = [fspath(one) for one in several if isinstance(one, str | PathLike)]
        if paths and len(paths) != len(several):
            raise DataError("images: expected paths alone, or pixels and bytes alone. Received both; predict them one after the other.")
        with open_images(paths if len(paths) > 1 else paths[0]) if paths else nullcontext() as opened:
            names = list(opened.names) if opened else [str(number) for number in range(len(several))]
            decoder: Decode = (lambda number: decode(opened.read(number))) if opened else _of_memory(several)
            batches = score_images(self._model, decoder, range(len(names)), batch_size=batch_size, guard=self._guard)
            found = [one for batch in batches for one in batch]
        facts = self._model.facts
        score = np.array([np.nan if one.score is None else one.score for one in found], dtype=np.float64)
        # Of nan no comparison is true.
        classes = {
            name: np.where(np.isnan(score), "", np.where(score >= threshold.value, facts.classes[1], facts.classes[0]))
            for name, threshold in facts.thresholds.items()
        }
        looks = [None if one.warnings is None else not one.warnings for one in found]
        why_not, trained_on = [one.warnings or () for one in found], [one.trained_on for one in found]
        return ImagePredictions(names, score, classes, looks, why_not, trained_on, [one.error for one in found])


def _of_memory(images: Sequence[AnyImage]) -> Decode:
    """Returns the function that decodes images in memory; a DataError if one is none."""
    for number, image in enumerate(images):
        if not isinstance(image, bytes) and not (
            isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
        ):
            received = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise DataError(
                f"images[{number}]: expected pixels, RGB uint8 (height, width, 3), bytes of an image file, or a path. Received: {received}"
            )

    def decoder(number: int) -> np.ndarray:
        image = images[number]
        return decode(image) if isinstance(image, bytes) else np.asarray(image)

    return decoder
