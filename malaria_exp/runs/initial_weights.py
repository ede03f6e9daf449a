"""Beginning from weights that another net has: layers that are alike in name and shape take them over, before training."""

import hashlib
import tempfile
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.config.run_files import CHECKPOINTS, MODEL_FILE
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.remote_runs import local_file, local_run
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.runs.wandb_artifact import SCHEME, local_artifact
from malaria_exp.runs.weights_file import ENDINGS, StoredLayer, WeightsFileError, open_weights, stored_layers
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError, RunFolderError, did_you_mean, listing
from malaria_exp.utils.filesystems import local_path, open_filesystem, scheme_of
from malaria_exp.utils.http import public_url
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras

REPORT_FILE = "init_from.json"


def find_weights(source: str, cache: Path, folder: Path) -> "InitialWeights":
    """Finds, and fetches if they lie elsewhere, the weights to begin with.

    Args:
        source: a finished run's folder, or a file of weights; a path or a URL.
        cache: the cache folder.
        folder: the run's folder, for init_from.json.

    Raises:
        ConfigError: there is no such file or run.
        DataError: it cannot be fetched.
    """
    shown, scheme = public_url(source), scheme_of(source)
    is_file = shown.partition("?")[0].endswith(ENDINGS)
    run = None
    if scheme in ("", "file"):
        path = local_path(source)
        if not path.exists():
            siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
            raise ConfigError(f"init_from: '{shown}' does not exist.{did_you_mean(path.name, siblings)} {_expected()}")
        is_file = path.is_file()
        run = path if not is_file else next((folder for folder in _folders_of(path) if (folder / STATUS).exists()), None)
    elif scheme in ("http", "https"):
        if not is_file:
            raise ConfigError(f"init_from: '{shown}' is no file of weights. {_expected()}")
        path = local_file(source, cache, "init_from")
    elif scheme == SCHEME:
        path, is_file = local_artifact(source, cache, "init_from"), True
    elif is_file:
        parent = source.rpartition("/")[0].removesuffix(f"/{CHECKPOINTS}")
        path = local_file(source, cache, "init_from")
        run = local_run(parent, cache, "init_from") if STATUS in open_filesystem(parent, "init_from").sizes() else None
    else:
        path = run = local_run(source, cache, "init_from")
    file = path if is_file else path / MODEL_FILE
    if not file.is_file():
        raise RunFolderError(f"init_from: '{shown}' has no {MODEL_FILE}. {_expected()}")
    if not file.name.endswith(ENDINGS):
        raise ConfigError(f"init_from: '{shown}' is no file of weights. {_expected()}")
    if run is not None:
        try:
            FinishedRun.read(run, cut_off=is_file)
        except RunFolderError as error:
            raise ConfigError(f"init_from: {str(error).removeprefix('run: ')}") from None
    return InitialWeights(shown, file, run, folder)


def _folders_of(file: Path) -> list[Path]:
    """Returns the folders whose run may have written a file: its own, and the one around checkpoints/."""
    parent = file.absolute().parent
    return [parent, parent.parent] if parent.name == CHECKPOINTS else [parent]


def _expected() -> str:
    return f"Expected the folder of a finished run, or a file that ends with {', '.join(ENDINGS)}."


@dataclass(eq=False)
class InitialWeights:
    """Weights to begin with. Called on each net that is built; the file is read once.

    Attributes:
        source: where they come from, for people.
        file: the local file.
        run: the local folder of the run that they come from, if it is known; they know that run's patients.
        folder: the run's folder.
        report: what was loaded and what not, once a net has been there.
    """

    source: str
    file: Path
    run: Path | None
    folder: Path
    report: dict[str, Any] = field(default_factory=dict)
    _numbers: dict[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, net: "keras.Model") -> "keras.Model":
        """Gives a new net the weights that fit it and returns it; its other layers stay as they were built.

        Raises:
            ConfigError: the file cannot be read, or nothing in it fits.
        """
        import h5py  # type: ignore[import-untyped]

        # By way of a file of the net's own: Keras alone knows how its layers write and read what they hold.
        with tempfile.TemporaryDirectory() as temporary:
            own = Path(temporary) / "net.weights.h5"
            net.save_weights(own)
            if not self.report:
                self._read(own, net)
            with h5py.File(own, "r+") as file:
                for path, numbers in self._numbers.items():
                    file[path][...] = numbers
            net.load_weights(own)
        return net

    def _read(self, own: Path, net: "keras.Model") -> None:
        """Reads the numbers that fit, tells what they are, and writes init_from.json."""
        try:
            with open_weights(own) as file:
                layers = stored_layers(file, net)
            with open_weights(self.file) as file:
                given = stored_layers(file, net)
                pairs = pair_layers(layers, given)
                fitting = [(mine, theirs) for mine, theirs in pairs if mine.shapes == theirs.shapes]
                for mine, theirs in fitting:
                    for path, source in zip(mine.paths, theirs.paths, strict=True):
                        self._numbers[path] = file[source][...]
        except WeightsFileError as error:
            raise ConfigError(f"init_from: '{self.source}' cannot be read as weights: {error}.") from None
        if not fitting:
            raise ConfigError(
                f"init_from: nothing in '{self.source}' fits model '{net.name}'.\nThe model's layers:\n{listing(map(_describe, layers))}\n"
                f"In the file:\n{listing(map(_describe, given)) or '  none'}"
            )
        if not all(np.isfinite(numbers).all() for numbers in self._numbers.values()):
            raise ConfigError(
                f"init_from: weights in '{self.source}' are no numbers (NaN or infinite): the training they come from diverged."
            )
        self.report = self._make_report(layers, given, pairs)
        write_json(self.folder / REPORT_FILE, self.report)
        log.info(f"init_from {self.summary()}")

    def _make_report(
        self, layers: list[StoredLayer], given: list[StoredLayer], pairs: list[tuple[StoredLayer, StoredLayer]]
    ) -> dict[str, Any]:
        fitting = [pair for pair in pairs if pair[0].shapes == pair[1].shapes]
        met = {id(one) for pair in pairs for one in pair}
        loaded, total = _parameters(mine for mine, _ in fitting), _parameters(layers)
        with self.file.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "source": self.source,
            "sha256": sha256,
            "layers_loaded": len(fitting),
            "layers_not_loaded": len(layers) - len(fitting),
            "parameters_loaded": loaded,
            "parameters_not_loaded": total - loaded,
            "loaded": [{"layer": mine.name, "from": theirs.name} for mine, theirs in fitting],
            "other_shape": [
                {"layer": mine.name, "shapes": [*map(list, mine.shapes)], "from": theirs.name, "shapes_there": [*map(list, theirs.shapes)]}
                for mine, theirs in pairs
                if mine.shapes != theirs.shapes
            ],
            "not_there": [mine.name for mine in layers if id(mine) not in met],
            "not_used": [theirs.name for theirs in given if id(theirs) not in met],
        }

    def counts(self) -> dict[str, Any]:
        """Returns the report without its lists."""
        return {key: value for key, value in self.report.items() if not isinstance(value, list)}

    def summary(self) -> str:
        """Returns in a sentence what was loaded."""
        found = self.report
        layers, parameters = (found[f"{what}_loaded"] + found[f"{what}_not_loaded"] for what in ("layers", "parameters"))
        text = f"{found['layers_loaded']} of {layers} layers ({found['parameters_loaded']:,} of {parameters:,} parameters) loaded from {self.source}"
        new = [item["layer"] for item in found["other_shape"]] + found["not_there"]
        if not new:
            return text
        return f"{text}; as built: {', '.join(new[:5])}{' ...' if len(new) > 5 else ''}; {REPORT_FILE} lists them"

    def notes(self) -> list[str]:
        """Returns what a reader of the report should know."""
        unknown = "" if self.run else " Nobody recorded here which patients these weights were trained on."
        return [f"Training began from other weights: {self.summary()}.{unknown}"]


def pair_layers(layers: list[StoredLayer], given: list[StoredLayer]) -> list[tuple[StoredLayer, StoredLayer]]:
    """Returns which layer of a file stands for which layer of a net; no layer twice, in the net's order.

    The surest way comes first: the same whole name, kind and order; for files without names, the same place; a given name with more
    nets around it on one side; the same name and shape; the same kind, order and shape; and last the same name, whatever its shape.

    Args:
        layers: of the net.
        given: of the file.
    """
    found: dict[int, StoredLayer] = {}
    taken: set[int] = set()

    def pair(
        key_of: Callable[[StoredLayer], Hashable], key_of_given: Callable[[StoredLayer], Hashable], *, same_shape: bool = False
    ) -> None:
        mine = _by_key((row, key_of(layer)) for row, layer in enumerate(layers) if row not in found)
        theirs = _by_key((row, key_of_given(layer)) for row, layer in enumerate(given) if row not in taken)
        for key in mine.keys() & theirs.keys():
            if same_shape and layers[mine[key]].shapes != given[theirs[key]].shapes:
                continue
            found[mine[key]] = given[theirs[key]]
            taken.add(theirs[key])

    def given_end(depth: int) -> Callable[[StoredLayer], Hashable]:
        return lambda layer: layer.labels[-depth:] if layer.kind is None and len(layer.labels) >= depth else None

    pair(lambda layer: (layer.labels, layer.kind), lambda layer: (layer.labels, layer.kind))
    if all(layer.labels == layer.plain for layer in given):
        pair(lambda layer: layer.plain, lambda layer: layer.plain)
    for depth in range(max((len(layer.labels) for layer in [*layers, *given]), default=0), 0, -1):
        pair(given_end(depth), given_end(depth))
    pair(lambda layer: layer.labels, lambda layer: layer.labels, same_shape=True)
    pair(lambda layer: layer.kind, lambda layer: layer.kind, same_shape=True)
    pair(lambda layer: layer.labels, lambda layer: layer.labels)
    return [(layers[row], found[row]) for row in sorted(found)]


def _by_key(items: Iterable[tuple[int, Hashable]]) -> dict[Hashable, int]:
    """Returns {key: row}, without keys that several rows have, and without None."""
    rows: dict[Hashable, list[int]] = {}
    for row, key in items:
        rows.setdefault(key, []).append(row)
    return {key: found[0] for key, found in rows.items() if key is not None and len(found) == 1}


def _parameters(layers: Iterable[StoredLayer]) -> int:
    return sum(int(np.prod(shape)) for layer in layers for shape in layer.shapes)


def _describe(layer: StoredLayer) -> str:
    return f"{layer.name}: {', '.join(str(shape) for shape in layer.shapes)}"
