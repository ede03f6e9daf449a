"""Starting from the weights of another model (init_from): finds the file, and copies the weights of layers that match in name and shape."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.config.run_files import CHECKPOINTS, MODEL_FILE
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.layer_pairs import pair_layers
from malaria_exp.runs.remote_runs import local_file, local_run
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.runs.wandb_artifact import SCHEME, local_artifact
from malaria_exp.runs.weights_file import ENDINGS, StoredLayer, WeightsFileError, open_weights, stored_layers
from malaria_exp.training.save_weights import save_weights
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError, RunFolderError, did_you_mean, listing
from malaria_exp.utils.filesystems import file_sha256, local_path, open_filesystem, scheme_of
from malaria_exp.utils.http import public_url
from malaria_exp.utils.replaced_files import stands_for
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras

REPORT_FILE = "init_from.json"


def find_weights(source: str, cache: Path, folder: Path | None) -> "InitialWeights":
    """Finds the weights to start from, and fetches them if they are not on this machine.

    Args:
        source: the folder of a finished run, or a weights file; a path or a URL.
        cache: the cache folder, for what is fetched.
        folder: the folder of the run that starts, for init_from.json; None to try the weights out, without a word.

    Raises:
        ConfigError: there is no such file or run, or another file lies in its place.
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
        run = path if not is_file else next((parent for parent in _possible_runs(path) if (parent / STATUS).exists()), None)
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
    with file.open("rb") as opened:
        other = stands_for(opened.read(256))
    if other:
        raise ConfigError(f"init_from: '{shown}' is {other}.")
    if run is not None:
        try:
            FinishedRun.read(run, cut_off=is_file)
        except RunFolderError as error:
            raise ConfigError(f"init_from: {str(error).removeprefix('run: ')}") from None
    return InitialWeights(shown, file, run, folder)


def _possible_runs(file: Path) -> list[Path]:
    """Returns the folders of the runs that may have written a weights file: its own folder, and the one above checkpoints/."""
    parent = file.absolute().parent
    return [parent, parent.parent] if parent.name == CHECKPOINTS else [parent]


def _expected() -> str:
    return f"Expected the folder of a finished run, or a file that ends with {', '.join(ENDINGS)}."


@dataclass(eq=False)
class InitialWeights:
    """Weights to start from. Call it with each model that is built; the file is read at the first call.

    Attributes:
        source: where the weights come from, as shown to readers.
        file: the local file.
        run: the local folder of the parent run, None if it is not known. The weights have learned from its patients.
        folder: the folder of the run that starts; None where the weights are only tried out.
        report: which layers were loaded and which were not; empty before the first call.
    """

    source: str
    file: Path
    run: Path | None
    folder: Path | None
    report: dict[str, Any] = field(default_factory=dict)
    _numbers: dict[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, model: "keras.Model") -> "keras.Model":
        """Gives a new model the weights that fit it and returns it; its other layers stay as they were built.

        Raises:
            ConfigError: the file cannot be read, or nothing in it fits.
        """
        import h5py  # type: ignore[import-untyped]

        # The numbers go through a weights file of the model, because only Keras knows how its layers store what they hold.
        with tempfile.TemporaryDirectory() as temporary:
            own = Path(temporary) / "model.weights.h5"
            save_weights(model, own)
            if not self.report:
                self._read(own, model)
            with h5py.File(own, "r+") as file:
                for path, numbers in self._numbers.items():
                    file[path][...] = numbers
            model.load_weights(own)
        return model

    def _read(self, own: Path, model: "keras.Model") -> None:
        """Reads the numbers that fit, reports which they are, and writes init_from.json."""
        try:
            with open_weights(own) as file:
                layers = stored_layers(file, model)
            with open_weights(self.file) as file:
                given = stored_layers(file, model)
                pairs = pair_layers(layers, given)
                fitting = [(mine, theirs) for mine, theirs in pairs if mine.shapes == theirs.shapes]
                for mine, theirs in fitting:
                    for path, source in zip(mine.paths, theirs.paths, strict=True):
                        self._numbers[path] = file[source][...]
        except WeightsFileError as error:
            raise ConfigError(f"init_from: '{self.source}' cannot be read as weights: {error}.") from None
        if not fitting:
            raise ConfigError(
                f"init_from: nothing in '{self.source}' fits model '{model.name}'.\nThe model's layers:\n{listing(map(_describe, layers))}\n"
                f"In the file:\n{listing(map(_describe, given)) or '  none'}"
            )
        if not all(np.isfinite(numbers).all() for numbers in self._numbers.values()):
            raise ConfigError(
                f"init_from: weights in '{self.source}' are no numbers (NaN or infinite): the training they come from diverged."
            )
        paired = {id(layer) for pair in pairs for layer in pair}
        loaded = _parameters(mine for mine, _ in fitting)
        self.report = {
            "source": self.source,
            "sha256": file_sha256(self.file),
            "layers_loaded": len(fitting),
            "layers_not_loaded": len(layers) - len(fitting),
            "parameters_loaded": loaded,
            "parameters_not_loaded": _parameters(layers) - loaded,
            "loaded": [{"layer": mine.name, "from": theirs.name} for mine, theirs in fitting],
            "other_shape": [
                {"layer": mine.name, "shapes": [*map(list, mine.shapes)], "from": theirs.name, "shapes_there": [*map(list, theirs.shapes)]}
                for mine, theirs in pairs
                if mine.shapes != theirs.shapes
            ],
            "not_there": [layer.name for layer in layers if id(layer) not in paired],
            "not_used": [layer.name for layer in given if id(layer) not in paired],
        }
        if self.folder is not None:
            write_json(self.folder / REPORT_FILE, self.report)
            log.info(f"init_from {self.summary()}")

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
        """Returns sentences for the notes of the report."""
        unknown = "" if self.run else " Nobody recorded here which patients these weights were trained on."
        return [f"Training began from other weights: {self.summary()}.{unknown}"]


def _parameters(layers: Iterable[StoredLayer]) -> int:
    return sum(int(np.prod(shape)) for layer in layers for shape in layer.shapes)


def _describe(layer: StoredLayer) -> str:
    return f"{layer.name}: {', '.join(str(shape) for shape in layer.shapes)}"
