"""Going on with a run that was cut off, of training or prediction: what stands in its folder, and whether it can be gone on with here."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from malaria_exp.config.run_config import Config
from malaria_exp.config.run_files import RESUME
from malaria_exp.runs import provenance
from malaria_exp.runs.read_files import CONFIG, PROVENANCE, read_config, read_json, read_status
from malaria_exp.runs.run_folder import MAY_GO_ON, STATUS, may_be_running
from malaria_exp.tracking.logger_interface import Position
from malaria_exp.training.checkpoint import Checkpoint
from malaria_exp.training.checkpoint_files import read_last
from malaria_exp.utils.errors import ConfigError, RunFolderError, listing
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

# What a result depends on, as paths into provenance.json. Of the machine, the system's version and the memory are not among it.
DEPENDS_ON = ("malaria_exp", "code_hash", "plugins", "python", "packages", "machine.processor", "machine.cores", "environment", "keras")
# What stands in config.yaml in place of a secret.
HIDDEN = "***"
DATA = ("data_hash", "split_hash")
RESUMED = "resumed"


@dataclass(frozen=True, eq=False)
class Resumption:
    """What a run that was cut off goes on from.

    Attributes:
        path: the run's folder.
        task: what it does.
        config: its configuration.
        config_text: the same, as it stands in config.yaml.
        overrides: what the user typed when it was begun.
        provenance: its provenance.json; empty if it was cut off before that was written.
        checkpoint: of its training; None if it begins anew.
        force: go on although something else than then would compute.
    """

    path: Path
    task: str
    config: Config
    config_text: str
    overrides: list[str]
    provenance: Mapping[str, Any]
    checkpoint: Checkpoint | None
    force: bool = False

    @property
    def position(self) -> Position:
        """Where its training goes on."""
        return Position(len(self.checkpoint.progress.history), self.checkpoint.progress.steps) if self.checkpoint else Position()

    def check(self, now: Mapping[str, Any], names: Sequence[str]) -> None:
        """Raises a RunFolderError if what a result depends on is no longer what it was; a warning with `force`.

        Args:
            now: provenance as it is today.
            names: what is compared, paths into it.
        """
        pairs = {name: (_entry(self.provenance, name), _entry(now, name)) for name in names if self.provenance}
        changed = [f"{name}: {_short(before)}, now {_short(after)}" for name, (before, after) in pairs.items() if before != after]
        if not changed:
            return
        text = f"run: what '{self.path}' was begun with has changed since:\n{listing(changed)}\n"
        if not self.force:
            raise RunFolderError(
                f"{text}Going on would not give the result of a run that was never cut off. Begin a new run, or go on all the same with task.force=true."
            )
        log.warning(f"resume    {text}It goes on all the same (task.force=true).")

    def history(self) -> list[dict[str, str]]:
        """Returns when and where the run went on, this time included, for provenance.json."""
        now = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "from": self.checkpoint.progress.describe() if self.checkpoint else "the start",
        }
        before = self.provenance.get(RESUMED)
        return [*(before if isinstance(before, list) else []), now]


def read_cut_off(path: Path, *, plugins: Sequence[str] = (), force: bool = False) -> Resumption:
    """Reads the folder of a run that was cut off, and checks that it can be gone on with here.

    Args:
        path: the folder.
        plugins: the user's modules that are loaded: those which a saved run names are not.
        force: see Resumption.

    Raises:
        RunFolderError: there is no such run, it is finished or still runs, or what it depends on has changed.
        ConfigError: its plugins were not named.
    """
    if not (path / STATUS).is_file():
        raise RunFolderError(f"run: '{path}' is no run folder: it has no {STATUS}. Give that of a run that was cut off: run=outputs/...")
    if not (path / STATUS).stat().st_size:
        raise RunFolderError(f"run: '{path}' was cut off before it began. Begin it again: the same command with hydra.run.dir={path}")
    status = read_status(path)
    task = str(status.get("task"))
    if task not in MAY_GO_ON:
        raise RunFolderError(f"run: '{path}' is no run of task={' or task='.join(MAY_GO_ON)}, but of task={task}.")
    if status.get("status") == "done":
        raise RunFolderError(f"run: '{path}' is finished; there is nothing left to do. {path / 'report.html'} is its report.")
    if status.get("status") == "running" and may_be_running(path, status):
        raise RunFolderError(
            f"run: '{path}' is still running (process {status.get('pid')} of {status.get('host')}). Wait for it or stop it."
        )
    saved = read_config(path)
    text = (path / CONFIG).read_text(encoding="utf-8")
    overrides = status.get("overrides")
    if overrides is None:
        raise RunFolderError(f"run: '{path / STATUS}' lacks the overrides of the run.")
    if hidden := [line.partition(":")[0].strip() for line in text.splitlines() if HIDDEN in line]:
        raise RunFolderError(
            f"run: '{path / CONFIG}' hides what it must not show ({', '.join(hidden)}), so the run cannot go on. Begin a new one."
        )
    if missing := sorted(set(map(str, saved.get("plugins") or [])) - set(plugins)):
        raise ConfigError(f"plugins: the run '{path}' uses {', '.join(missing)}. Name them again: plugins=[{','.join(missing)}]")
    try:
        config = Config.from_plain(saved)
        config.check_components()
    except ConfigError as error:
        raise RunFolderError(f"run: '{path / CONFIG}': {error}") from None
    known = read_json(path / PROVENANCE) if (path / PROVENANCE).exists() else {}
    checkpoint = read_last(path)
    found = Resumption(path, task, config, text, overrides, known, checkpoint, force)
    found.check(provenance.collect(seed=config.seed, overrides=overrides), DEPENDS_ON)
    if checkpoint is not None:
        # GPUs are known only once TensorFlow is loaded.
        load_tensorflow()
        replace(found, provenance={"machine": checkpoint.machine}).check({"machine": machine()}, ["machine.gpus"])
    log.info(f"resume    {path} goes on" + (f" from {found.history()[-1]['from']}" if task == "train" else ""))
    return found


def remove_checkpoints(path: Path) -> None:
    """Removes the checkpoints of a run that is finished."""
    shutil.rmtree(path / RESUME, ignore_errors=True)


def _entry(record: Mapping[str, Any], path: str) -> Any:
    found: Any = record
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
