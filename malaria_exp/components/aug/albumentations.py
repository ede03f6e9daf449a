"""Albumentations as augmentation: any list of its transforms."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.components.aug._per_image import Draws
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Probability
from malaria_exp.data.augmentation_chain import Augmentation
from malaria_exp.utils.machine import cores

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

    Images are converted to bytes, for which its transforms are written; an image that no transform changes keeps its bits.

    Args:
        transforms: each a name with its arguments, such as {HorizontalFlip: {p: 0.5}}; OneOf, SomeOf, Sequential and others hold lists of them.
        keep_black: the black outside of a cell stays black when colors change, and moves when the image does.
        p: probability that an image is treated.
    """
    from malaria_exp.components.aug._albumentations_list import build_transforms, load_library

    library = load_library()

    def build() -> Any:
        return library.Compose(build_transforms(PATH, transforms, keep_black=keep_black))

    build()
    workers = Workers(build)

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        chosen = Draws(seed, tf.shape(images)[0]).happens(p)
        treated = tf.numpy_function(workers, [images, chosen, seed], tf.float32, stateful=False)
        return tf.ensure_shape(treated, images.shape), labels

    return augment


class Workers:
    """Treats batches by several threads. Each thread has its own pipeline, because a pipeline is not thread-safe.

    An image's result depends on the seed and its position in the batch, not on the thread.

    Args:
        build: returns a new pipeline.
    """

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build, self._count = build, cores()
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="albumentations")
        self._own = threading.local()

    def __call__(self, images: np.ndarray, chosen: np.ndarray, seed: np.ndarray) -> np.ndarray:
        """Returns the images float32 (B, H, W, 3) in [0, 1] with the chosen ones, bool (B,), treated; seed is int32 (2,)."""
        import cv2

        pixels = cv2.convertScaleAbs(images.reshape(len(images), -1), alpha=255).reshape(images.shape)
        treated, words = pixels.copy(), seed.view(np.uint32).tolist()
        chunks = [chunk.tolist() for chunk in np.array_split(np.flatnonzero(chosen), self._count) if len(chunk)]
        if len(chunks) > 1:
            list(self._pool.map(lambda chunk: self._treat(pixels, treated, chunk, words), chunks))
        elif chunks:
            self._treat(pixels, treated, chunks[0], words)
        # Unchanged images keep their bits, also of values that are no whole bytes.
        changed = (treated != pixels).reshape(len(pixels), -1).any(axis=1)
        result = treated.astype(np.float32)
        result *= np.float32(1 / 255)
        if not changed.all():
            result[~changed] = images[~changed]
        return result

    def _treat(self, pixels: np.ndarray, treated: np.ndarray, chunk: list[int], words: list[int]) -> None:
        if not hasattr(self._own, "transforms"):
            pipeline, bits = self._build(), np.random.Philox(key=0)
            self._own.bits, self._own.random, self._own.state = bits, StreamRandom(bits), bits.state
            # One stream of random numbers for all transforms: with a number as seed they would all draw the same.
            pipeline.set_random_state(np.random.Generator(bits), self._own.random)
            # The transforms are called one by one: all else that a pipeline does is for boxes, masks and key points.
            self._own.transforms = pipeline.transforms
        low, high = words
        bits, state = self._own.bits, self._own.state
        key = state["state"]["key"]
        key[0] = low | high << 32
        for index in chunk:
            # Setting a counter-based generator's state is fast; a new generator takes longer than some transforms.
            key[1] = index
            bits.state = state
            self._own.random.gauss_next = None
            data = {"image": pixels[index]}
            for transform in self._own.transforms:
                data = transform(**data)
            treated[index] = data["image"]


class StreamRandom(Random):
    """Python's random.Random on a bit generator of NumPy, which is faster than seeding Python's own generator for each image.

    Args:
        bits: the bit generator; others may draw from it as well.
    """

    def __init__(self, bits: np.random.BitGenerator) -> None:
        super().__init__()
        self._bits = bits

    def random(self) -> float:
        """Returns a number of [0, 1)."""
        return float((self._bits.random_raw() >> 11) * 2.0**-53)

    def getrandbits(self, k: int, /) -> int:
        """Returns a whole number of k bits."""
        words = -(-k // 64)
        number = 0
        for _ in range(words):
            number = number << 64 | self._bits.random_raw()
        return number >> (64 * words - k)
