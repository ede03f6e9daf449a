"""Builds Albumentations' transforms from names and arguments, which are checked against the installed library.

Known faults of albumentations 2.0.8: it only warns of unknown arguments and uses the defaults; with a number as seed, all transforms of a
pipeline get the same one, so that two flips of equal probability always happen together; and its import asks the network for a newer version.
"""

import inspect
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from malaria_exp.config.validation import check_keys
from malaria_exp.utils.errors import ConfigError, did_you_mean

INSTALL = "python -m pip install 'malaria_exp[albumentations]' (from a clone: python -m pip install --editable '.[albumentations]')"
GROUPS = ("OneOf", "OneOrOther", "RandomOrder", "Sequential", "SomeOf")
# Transforms that cannot be used here, and why.
REFUSED = {
    "Lambda": "it calls code from the configuration. Write an augmentation of your own: plugins=[my_module]",
    "Normalize": "images have to stay in [0, 1]; models scale them as they need",
    "ToFloat": "images have to stay in [0, 1]; models scale them as they need",
    "FromFloat": "images have to stay in [0, 1]; models scale them as they need",
    "ToTensorV2": "it makes tensors of another library",
    "ToTensor3D": "it makes tensors of another library",
    "Compose": "the list is one already. Put the transforms into it as they are, or into a Sequential",
    "ReplayCompose": "the list is one already. Put the transforms into it as they are, or into a Sequential",
}
TRIAL_SIZES = (48, 64)


def load_library() -> Any:
    """Imports albumentations without its search for updates, and turns off OpenCV's threads, which would compete with ours.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    try:
        import albumentations
        import cv2
    except ImportError:
        raise ConfigError(f"aug.albumentations: needs albumentations, which is not installed: {INSTALL}") from None
    cv2.setNumThreads(0)
    return albumentations


def build_transforms(path: str, transforms: Sequence[Any], *, keep_black: bool = False) -> list[Any]:
    """Builds the transforms of a list such as [{OneOf: {p: 0.3, transforms: [...]}}, {RandomRotate90: {}}].

    Args:
        path: config path of the list.
        transforms: names with their arguments.
        keep_black: whether transforms that change colors leave black pixels black.

    Raises:
        ConfigError: an unknown transform or argument, a value that does not fit, or a transform that cannot be used here.
    """
    if not isinstance(transforms, list | tuple):
        raise ConfigError(f"{path}: expected a list of transforms, received {transforms!r}.")
    return [_build(f"{path}[{number}]", one, keep_black=keep_black) for number, one in enumerate(transforms)]


def _build(path: str, given: Any, *, keep_black: bool) -> Any:
    library = load_library()
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ConfigError(
            f"{path}: expected a transform's name with its arguments, such as {{HorizontalFlip: {{p: 0.5}}}}, received {given!r}."
        )
    ((name, arguments),) = given.items()
    path = f"{path}.{name}"
    if name in REFUSED:
        raise ConfigError(f"{path}: not possible here: {REFUSED[name]}.")
    known = dict(_transforms(library))
    if name not in known:
        raise ConfigError(
            f"{path}: albumentations {library.__version__} has no such transform.{did_you_mean(str(name), known)}"
            f" It has {len(known)}, such as {', '.join(sorted(known)[:8])}: https://explore.albumentations.ai"
        )
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping):
        raise ConfigError(f"{path}: expected the transform's arguments, such as {{p: 0.5}}, received {arguments!r}.")
    check_keys(path, arguments, set(inspect.signature(known[name]).parameters) - {"self", "seed", "save_applied_params"})
    made = dict(arguments)
    for key in ("transforms", "first", "second") if name in GROUPS else ():
        if key in made:
            listed = made[key] if key == "transforms" else [made[key]]
            nested = build_transforms(f"{path}.{key}", listed, keep_black=keep_black)
            made[key] = nested if key == "transforms" else nested[0]
    kind = known[name]
    if keep_black and issubclass(kind, library.ImageOnlyTransform):
        kind = _keeping_black(kind)
    transform = _construct(path, kind, made)
    if name not in GROUPS:
        _try(path, transform)
    return transform


def _transforms(library: Any) -> Iterator[tuple[str, type]]:
    """Yields name and class of each transform that may be used."""
    for name in dir(library):
        value = getattr(library, name)
        if inspect.isclass(value) and not inspect.isabstract(value) and not name.startswith(("Basic", "Base")):
            two_dimensional = issubclass(value, library.ImageOnlyTransform | library.DualTransform) and not issubclass(
                value, library.Transform3D
            )
            if name in GROUPS or (two_dimensional and name not in ("ImageOnlyTransform", "DualTransform", "Transform3D")):
                yield name, value


def _construct(path: str, made: type, arguments: Mapping[str, Any]) -> Any:
    try:
        with warnings.catch_warnings():
            # Most warnings say that a value was not taken as it was given. Advice to take another transform is no error.
            warnings.simplefilter("error", UserWarning)
            warnings.filterwarnings("ignore", r"(?is).*(please use|consider using|try to use|more flexibility)", UserWarning)
            return made(**arguments)
    except Exception as error:  # noqa: BLE001 - pydantic's ValidationError, and what each constructor raises
        raise ConfigError(f"{path}: {_one_line(error)}") from None


def _keeping_black(made: Any) -> Any:
    """Returns a subclass that leaves black pixels black, of a transform that moves no pixel."""
    import cv2

    none = (0, 0, 0)

    def apply(self: Any, img: np.ndarray, *args: Any, **params: Any) -> np.ndarray:
        # Searched before the transform, as some change the image itself.
        black = cv2.inRange(img, none, none)
        changed = made.apply(self, img, *args, **params)
        # An image of another size is refused by `_try`.
        if changed.shape != img.shape:
            return changed
        return cv2.copyTo(np.zeros(changed.shape, changed.dtype), black, changed)

    return type(made)(made.__name__, (made,), {"apply": apply, "__doc__": made.__doc__, "__module__": __name__})


def _one_line(error: Exception) -> str:
    """Returns the reason without pydantic's page of context."""
    cause = error.__cause__
    if cause is not None and hasattr(cause, "errors"):
        first = cause.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where + ': ' if where else ''}{first['msg']}, received {first.get('input')!r}."
    return " ".join(str(error).split())


def _try(path: str, transform: Any) -> None:
    """Runs a transform once, as some errors occur only then."""
    for size in TRIAL_SIZES:
        image = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
        try:
            got = transform(force_apply=True, image=image)["image"]
        except Exception as error:  # noqa: BLE001 - whatever a transform raises without what it needs
            raise ConfigError(f"{path}: cannot be used here: {_one_line(error) or type(error).__name__}") from None
        if got.shape != image.shape or got.dtype != image.dtype:
            raise ConfigError(
                f"{path}: makes images of {got.shape}, {got.dtype}, of images of {image.shape}, {image.dtype}; expected the same size, whatever"
                " it is. Images come resized to model.image_size; to cut parts out, use aug=resized_crop."
            )
