"""Albumentations' transforms: checked beforehand, drawn from the run's seed, the same as ours where both have one."""

import importlib.util
import sys

import numpy as np
import pytest
import tensorflow as tf
from aug_tools import cells, noise, run, treat

from malaria_exp.components.aug.albumentations import StreamRandom
from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.utils.errors import ConfigError

needs_library = pytest.mark.skipif(importlib.util.find_spec("albumentations") is None, reason="aug=albumentations needs its extra")


def one(images, labels, *transforms, **options):
    return treat("albumentations", images, labels, transforms=list(transforms), **options)[0]


def as_bytes(images):
    return np.rint(images * 255).astype(np.uint8)


@needs_library
@pytest.mark.parametrize(
    ("transform", "native"),
    [
        ({"HorizontalFlip": {"p": 1.0}}, lambda images: tf.image.flip_left_right(images)),
        ({"VerticalFlip": {"p": 1.0}}, lambda images: tf.image.flip_up_down(images)),
        ({"Transpose": {"p": 1.0}}, lambda images: tf.transpose(images, (0, 2, 1, 3))),
        (
            {"RandomBrightnessContrast": {"brightness_limit": [0, 0], "contrast_limit": [0.2, 0.2], "p": 1.0, "ensure_safe_range": False}},
            lambda images: tf.clip_by_value(images * 1.2, 0, 1),
        ),
        (
            {"RandomBrightnessContrast": {"brightness_limit": [0.1, 0.1], "contrast_limit": [0, 0], "brightness_by_max": True, "p": 1.0}},
            lambda images: tf.clip_by_value(images + 0.1, 0, 1),
        ),
    ],
)
def test_the_same_as_tf_image_within_rounding(transform, native):
    images, labels = cells(12)
    got = one(images, labels, transform)
    want = np.where(images.max(axis=-1, keepdims=True) > 0, native(images), 0) if "Random" in str(transform) else native(images).numpy()
    assert np.abs(got - want).max() <= 1.01 / 255


def test_pythons_numbers_out_of_numpys_bits():
    bits = np.random.Philox(key=3)
    drawn = StreamRandom(bits)
    numbers = np.array([drawn.random() for _ in range(4000)])
    assert 0 <= numbers.min() < numbers.max() < 1
    assert np.histogram(numbers, 8, (0, 1))[0] == pytest.approx(500, abs=5 * 21)
    whole = np.bincount([drawn.randint(0, 4) for _ in range(4000)], minlength=5)
    assert whole == pytest.approx(800, abs=5 * 26)
    assert {drawn.getrandbits(70) >> 60 > 0 for _ in range(20)} == {True}
    assert len({drawn.getrandbits(k) >> k for k in range(1, 140)}) == 1


@needs_library
def test_one_of_takes_each_as_often_as_configured():
    images, labels = cells(1000, 8)
    flips = {"OneOf": {"transforms": [{"HorizontalFlip": {"p": 0.75}}, {"VerticalFlip": {"p": 0.25}}], "p": 0.6}}
    got = as_bytes(one(images, labels, flips))
    fractions = [(got == as_bytes(kind)).all(axis=(1, 2, 3)).mean() for kind in (images, images[:, :, ::-1], images[:, ::-1])]
    assert np.abs(np.array(fractions) - [0.4, 0.45, 0.15]).max() < 4 * 0.5 / np.sqrt(1000), fractions


@needs_library
@pytest.mark.parametrize(
    "transforms",
    [
        [{"RandomBrightnessContrast": {"brightness_limit": 0.5, "p": 1.0}}],
        [{"InvertImg": {"p": 1.0}}],
        [{"HueSaturationValue": {"p": 1.0}}, {"GaussNoise": {"p": 1.0}}],
        [{"ShiftScaleRotate": {"p": 1.0}}],
        [{"Rotate": {"limit": 45, "p": 1.0}}, {"RandomRotate90": {"p": 1.0}}, {"InvertImg": {"p": 1.0}}],
    ],
    ids=str,
)
def test_the_outside_stays_black_and_moves_with_the_image(transforms):
    images, labels = cells(10)
    got = one(images, labels, *transforms)
    corner = got[:, :2, :2]
    assert (corner == 0).all()
    assert (got[:, 12, 12] != images[:, 12, 12]).any()
    if "InvertImg" in str(transforms):
        assert (one(images, labels, *transforms, keep_black=False)[:, :2, :2] > 0.5).any()


@needs_library
def test_an_image_to_which_nothing_is_done_keeps_its_bits():
    images, labels = noise(50, 8)
    got = one(images, labels, {"HorizontalFlip": {"p": 0.5}})
    same = (got == images).all(axis=(1, 2, 3))
    assert 10 < same.sum() < 40
    # The others went through bytes.
    assert np.abs(got[~same] - images[~same][:, :, ::-1]).max() <= 0.51 / 255


@needs_library
def test_a_seed_gives_the_same_whatever_else_was_drawn():
    images, labels = cells(24, 16)
    names = [
        "GaussNoise",
        "ElasticTransform",
        "CoarseDropout",
        "RandomGridShuffle",
        "ISONoise",
        "ColorJitter",
        "Affine",
        "Perspective",
        "RandomFog",
    ]
    for name in names:
        more = {"rotate": [-40, 40]} if name == "Affine" else {}
        chain = Chain([build("aug", "albumentations", {"transforms": [{name: {"p": 1.0, **more}}]})])
        first = run(chain, images, labels, (1, 2))[0]
        np.random.default_rng().random(3)
        run(chain, images[:5], labels[:5], (8, 8))
        assert np.array_equal(first, run(chain, images, labels, (1, 2))[0]), name
        assert not np.array_equal(first, run(chain, images, labels, (1, 3))[0]), name
        # Its place in the batch decides, not what stands beside it.
        assert np.array_equal(first[:5], run(chain, images[:5], labels[:5], (1, 2))[0]), name


@needs_library
@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([{"Sharpn": {}}], r"aug.albumentations.transforms\[0\].Sharpn: albumentations .* has no such transform. Did you mean 'Sharpen'"),
        ([{"Sharpen": {"alfa": 1}}], r"transforms\[0\].Sharpen.alfa: unknown key.*Did you mean 'alpha'"),
        ([{"Rotate": {"limit": "far"}}], r"transforms\[0\].Rotate: limit.*received 'far'"),
        ([{"HorizontalFlip": {"p": 2}}], r"transforms\[0\].HorizontalFlip: p: .*received 2"),
        ([{"OneOf": {"transforms": [{"Blurr": {}}]}}], r"transforms\[0\].OneOf.transforms\[0\].Blurr.*Did you mean 'Blur'"),
        ([{"OneOf": {"chance": 1}}], r"transforms\[0\].OneOf.chance: unknown key"),
        ([{"OneOf": {"transforms": 3}}], r"OneOf.transforms: expected a list of transforms, received 3"),
        ([{"HorizontalFlip": {}, "VerticalFlip": {}}], r"transforms\[0\]: expected a transform's name with its arguments"),
        ([{"HorizontalFlip": 3}], r"transforms\[0\].HorizontalFlip: expected the transform's arguments"),
        ([{"RandomCrop": {"height": 20, "width": 20}}], r"RandomCrop: makes images of \(20, 20, 3\).*expected the same size"),
        ([{"Resize": {"height": 64, "width": 64}}], r"Resize: makes images of .*Images come resized to model.image_size"),
        ([{"Normalize": {}}], r"Normalize: not possible here: images have to stay in \[0, 1\]"),
        ([{"Lambda": {}}], r"Lambda: not possible here: it calls code from the configuration"),
        ([{"Compose": {"transforms": []}}], r"Compose: not possible here: the list is one already"),
        ([{"TemplateTransform": {"templates": "x"}}], r"transforms\[0\].TemplateTransform: "),
        ([{"Mosaic": {}}], r"transforms\[0\].Mosaic: "),
    ],
)
def test_what_is_wrong_with_a_list_is_said_before_training(transforms, message):
    with pytest.raises(ConfigError, match=message) as raised:
        build("aug", "albumentations", {"transforms": transforms})
    assert "\n" not in str(raised.value)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ConfigError, match=r"aug.albumentations: needs albumentations.*pip install 'malaria_exp\[albumentations\]'"):
        build("aug", "albumentations", {})
    build("aug", "dihedral", {})
