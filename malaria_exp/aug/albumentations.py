"""Albumentations as augmentation: any list of its transforms."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.aug._draws import Draws
from malaria_exp.augmenting import Augmentation
from malaria_exp.provenance import cores
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
# From this edge on, in pixels, threads pay: OpenCV lets others run while it works, and Python, which does not, takes the same time for any size.
LARGE = 128


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
    """Treats batches, by threads if images are large; each has a pipeline of its own, as a pipeline cannot be shared.

    What an image becomes depends on the seed and its place in the batch, not on the thread.

    Args:
        build: returns a fresh pipeline.
    """

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build, self._count = build, cores()
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="albumentations")
        self._own = threading.local()

    def __call__(self, images: np.ndarray, chosen: np.ndarray, seed: np.ndarray) -> np.ndarray:
        """Returns the images float32 (B, H, W, 3) in [0, 1] with the chosen ones, bool (B,), treated; seed is int32 (2,)."""
        scaled = images * np.float32(255)
        pixels = np.rint(scaled, out=scaled).astype(np.uint8)
        treated, words = pixels.copy(), seed.view(np.uint32).tolist()
        count = self._count if images.shape[1] >= LARGE else 1
        parts = [part.tolist() for part in np.array_split(np.flatnonzero(chosen), count) if len(part)]
        if len(parts) > 1:
            list(self._pool.map(lambda part: self._treat(pixels, treated, part, words), parts))
        elif parts:
            self._treat(pixels, treated, parts[0], words)
        # Where nothing was done the bits are kept, also of colours between two bytes.
        changed = (treated != pixels).reshape(len(pixels), -1).any(axis=1)
        result = np.multiply(treated, np.float32(1 / 255), dtype=np.float32)
        if not changed.all():
            result[~changed] = images[~changed]
        return result

    def _treat(self, pixels: np.ndarray, treated: np.ndarray, part: list[int], words: list[int]) -> None:
        if not hasattr(self._own, "pipeline"):
            self._own.pipeline, self._own.bits, self._own.random = self._build(), np.random.Philox(key=0), Random()  # noqa: S311 - no secret
            # One stream for all transforms: a seed by number would be given to each of them alike.
            self._own.pipeline.set_random_state(np.random.Generator(self._own.bits), self._own.random)
        low, high = words
        state = self._own.bits.state
        for index in part:
            # A generator with a counter is put where it is wanted at once; making a new one takes longer than some transforms.
            state["state"] = {"counter": np.zeros(4, np.uint64), "key": np.array([low | high << 32, index], np.uint64)}
            state["buffer_pos"], state["has_uint32"], state["uinteger"] = 4, 0, 0
            self._own.bits.state = state
            self._own.random.seed(low | high << 32 | index << 64)
            treated[index] = self._own.pipeline(image=pixels[index])["image"]
