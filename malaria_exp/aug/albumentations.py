"""Albumentations as augmentation: any list of its transforms."""

import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.aug._draws import Draws
from malaria_exp.augmenting import Augmentation
from malaria_exp.registry import register
from malaria_exp.schema import Probability

if TYPE_CHECKING:
    import tensorflow as tf

NOTEBOOKS: list[dict[str, Any]] = [
    {"OneOf": {"transforms": [{"HorizontalFlip": {"p": 1.0}}, {"VerticalFlip": {"p": 1.0}}], "p": 0.3}},
    {"RandomRotate90": {"p": 1.0}},
    {"RandomBrightnessContrast": {"brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.5}},
    {"Sharpen": {"p": 0.5}},
    {"RandomGridShuffle": {"grid": [3, 3], "p": 0.2}},
    {"CoarseDropout": {"num_holes_range": [1, 4], "hole_height_range": [0.1, 0.1], "hole_width_range": [0.1, 0.1], "p": 0.5}},
]
PATH = "aug.albumentations.transforms"


@register("aug", "albumentations")
def albumentations(*, transforms: list[dict[str, Any]] = NOTEBOOKS, keep_black: bool = True, p: Probability = 1.0) -> Augmentation:
    """Runs each image through a list of Albumentations' transforms (an extra: pip install 'malaria_exp[albumentations]').

    Images are handed over as bytes, which its transforms are made for; an image to which nothing is done keeps its bits.

    Args:
        transforms: each a name with its arguments, such as {HorizontalFlip: {p: 0.5}}; OneOf, SomeOf, Sequential and others hold lists of them.
        keep_black: the black outside of a cell stays black when colours change, and moves when the image does.
        p: probability that an image is treated.
    """
    from malaria_exp.aug._albumentations_list import build_transforms, load_library

    library = load_library()
    build_transforms(PATH, transforms)
    workers = Workers(library, transforms, keep_black=keep_black)

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        chosen = Draws(seed, tf.shape(images)[0]).happens(p)
        treated = tf.numpy_function(workers, [images, chosen, seed], tf.float32, stateful=False)
        return tf.ensure_shape(treated, images.shape), labels

    return augment


class Workers:
    """Threads that treat a batch, each with a pipeline of its own, as a pipeline cannot be shared.

    Called with images float32 (B, H, W, 3) in [0, 1], which of them to treat, bool (B,), and a seed int32 (2,), it returns the images.
    What an image becomes depends on the seed and its place in the batch, not on the thread.
    """

    def __init__(self, library: Any, transforms: list[dict[str, Any]], *, keep_black: bool) -> None:
        from malaria_exp.aug._albumentations_list import pipeline
        from malaria_exp.provenance import cores

        self._build = lambda: pipeline(library, PATH, transforms)
        self._keep_black = keep_black
        self._count = cores()
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="albumentations")
        self._own = threading.local()

    def __call__(self, images: np.ndarray, chosen: np.ndarray, seed: np.ndarray) -> np.ndarray:
        """Returns the batch, see above."""
        treated = images.copy()
        words = seed.view(np.uint32).tolist()
        parts = [part for part in np.array_split(np.flatnonzero(chosen), self._count) if len(part)]
        for _ in self._pool.map(lambda part: self._treat(images, treated, part, words), parts):
            pass
        return treated

    def _treat(self, images: np.ndarray, treated: np.ndarray, part: np.ndarray, words: list[int]) -> None:
        if not hasattr(self._own, "pipeline"):
            self._own.pipeline = self._build()
        for index in part.tolist():
            pixels = np.rint(images[index] * 255).astype(np.uint8)
            outline = pixels.any(axis=-1).astype(np.uint8)
            numpy_draws = np.random.default_rng([*words, index])
            # One stream for all transforms: a seed by number would be given to each of them alike.
            self._own.pipeline.set_random_state(numpy_draws, Random(int(numpy_draws.integers(2**63))))  # noqa: S311 - no secret
            got = self._own.pipeline(image=pixels, mask=outline)
            image = got["image"]
            if self._keep_black:
                image = image * got["mask"][..., None]
            if not np.array_equal(image, pixels):
                treated[index] = image * np.float32(1 / 255)
