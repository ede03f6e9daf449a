"""Scoring a stream of images: threads read, decode and resize while the model computes; memory holds a few batches, whatever the number."""

import os
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.fingerprints import pixel_hash
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.deployment.deployed_model import DeployedModel, ModelFacts
from malaria_exp.utils.errors import DataError

# Images that a thread takes at a time, and batches that are decoded ahead of the model.
CHUNK, AHEAD = 16, 2
# From an image's number to its pixels, RGB uint8 (height, width, 3); raises BadImageError.
Decode = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class ImageScore:
    """What a model says of one image.

    Attributes:
        score: the calibrated probability of parasitized, in [0, 1]; None of an image that cannot be used.
        warnings: in which respects it does not look like the training data, in words; None if nothing is known of that.
        error: why it cannot be used; empty if it can.
        ood: its OOD scores, one a part of the detector.
        trained_on: whether the model was trained on it; None if nothing is known of that.
    """

    score: float | None = None
    warnings: tuple[str, ...] | None = None
    error: str = ""
    ood: tuple[float, ...] = ()
    trained_on: bool | None = None


class _Prepared(NamedTuple):
    """An image as the model takes it, or the reason why not; and its `trained_on`."""

    image: np.ndarray | str
    trained_on: bool | None = None


def score_images(
    model: DeployedModel, decode: Decode, numbers: range, *, batch_size: int, workers: int = 0, guard: Container[str] = ()
) -> Iterator[list[ImageScore]]:
    """Yields the scores of images, a batch at a time and in order.

    A batch is made of the same images whenever it is computed, so its scores are the same to the bit, whatever came before it.

    Args:
        model: scores them.
        decode: reads and decodes an image; called from several threads.
        numbers: of the images.
        batch_size: images in a batch, those that cannot be used included.
        workers: threads that decode; 0 for one a core.
        guard: `pixel_hash` of the cells that the model was trained on; empty if nothing is known of them.

    Raises:
        DataError: the model gives no number for an image.
    """
    batches = deque[list[Future[list[_Prepared]]]]()
    # Images are resized side by side already; threads of BLAS within each would only compete with them and with the model.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        prepare = partial(_prepare, decode, model.facts.rule, guard)
        try:
            for batch in _cut(numbers, batch_size):
                batches.append([pool.submit(prepare, chunk) for chunk in _cut(batch, CHUNK)])
                if len(batches) > AHEAD:
                    yield _score(model, batches.popleft())
            while batches:
                yield _score(model, batches.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _cut(numbers: range, size: int) -> Iterator[range]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _prepare(decode: Decode, rule: ResizeRule, guard: Container[str], numbers: Sequence[int]) -> list[_Prepared]:
    found = []
    for number in numbers:
        try:
            image = decode(number)
            found.append(_Prepared(resize(image, rule), pixel_hash(image) in guard if guard else None))
        except BadImageError as error:
            found.append(_Prepared(" ".join(str(error).split()) or "cannot be read"))
    return found


def _score(model: DeployedModel, chunks: Sequence[Future[list[_Prepared]]]) -> list[ImageScore]:
    prepared = [item for chunk in chunks for item in chunk.result()]
    images = [item.image for item in prepared if not isinstance(item.image, str)]
    scored = iter(_scored(model, np.stack(images)) if images else ())
    return [
        ImageScore(error=item.image) if isinstance(item.image, str) else replace(next(scored), trained_on=item.trained_on)
        for item in prepared
    ]


def _scored(model: DeployedModel, images: np.ndarray) -> list[ImageScore]:
    found = model(images)
    if not np.isfinite(found.score).all():
        raise DataError(f"run: the model in '{model.facts.folder}' gives no number for some images: its training diverged.")
    return [image_score(model.facts, score, ood) for score, ood in zip(found.score.tolist(), found.ood, strict=True)]


def image_score(facts: ModelFacts, score: float, ood: np.ndarray) -> ImageScore:
    """Returns what a model says of an image, of its calibrated score and its OOD scores (P,)."""
    return ImageScore(score, warnings_of(facts, ood), ood=tuple(ood.tolist()))


def warnings_of(facts: ModelFacts, ood: np.ndarray) -> tuple[str, ...] | None:
    """Returns in which respects a cell does not look like the training data, of its OOD scores (P,); None without a detector."""
    if facts.ood is None:
        return None
    # What is no number does not look like anything.
    return tuple(part for part, value in zip(facts.ood.parts, ood.tolist(), strict=True) if not value <= 1)
