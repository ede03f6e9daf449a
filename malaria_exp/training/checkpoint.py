"""The state of a training in progress: everything that a run which was cut off goes on from."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.rows import Row

if TYPE_CHECKING:
    import keras


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        precision: of the computation.
        history: a row for each epoch that is done.
        steps: that are done, of the whole run.
        step: that are done in the epoch under way.
        stage: number of the stage under way, from 0.
        stage_first: epochs that were done when it began.
        stopped: whether a callback has ended it.
        best: value of the monitor in the epoch whose weights are kept; nan before there is one.
        best_epoch: its number, from 1; 0 before there is one.
        seconds: of training and validation so far.
    """

    precision: str = ""
    history: list[Row] = field(default_factory=list)
    steps: int = 0
    step: int = 0
    stage: int = 0
    stage_first: int = 0
    stopped: bool = False
    best: float = nan
    best_epoch: int = 0
    seconds: float = 0.0

    def describe(self) -> str:
        """Returns where the training stands, in words."""
        return f"step {self.step:,} of epoch {len(self.history) + 1}" if self.step else f"epoch {len(self.history)}"

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Progress":
        """Returns what `dataclasses.asdict` made plain; a ValueError, TypeError or KeyError if it is something else."""
        made = cls(**{item.name: type(getattr(cls(), item.name))(values[item.name]) for item in dataclasses.fields(cls)})
        made.history = [{str(key): float(value) for key, value in row.items()} for row in made.history]
        if min(made.steps, made.step, made.stage, made.stage_first, made.best_epoch) < 0:
            raise ValueError("a count is negative")
        return made


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training at the end of a step.

    Attributes:
        progress: how far it has come.
        machine: facts of the machine, its GPUs among them.
        callbacks: plain values that each callback carries over.
        arrays: by name: state/..., metric/..., best/..., losses/..., callback/...
    """

    progress: Progress
    machine: Mapping[str, Any]
    callbacks: Sequence[Mapping[str, Any]]
    arrays: Mapping[str, np.ndarray]

    def numbered(self, prefix: str) -> list[np.ndarray]:
        """Returns the arrays that `name_arrays` named with a prefix."""
        found: list[np.ndarray] = []
        while (array := self.arrays.get(f"{prefix}/{len(found)}")) is not None:
            found.append(array)
        return found

    def facts(self) -> bytes:
        """Returns all but the arrays, as JSON."""
        return json.dumps(
            {"progress": dataclasses.asdict(self.progress), "machine": self.machine, "callbacks": list(self.callbacks)}
        ).encode()

    @classmethod
    def from_facts(cls, facts: bytes, arrays: Mapping[str, np.ndarray]) -> "Checkpoint":
        """Returns the checkpoint of which these are the facts and the arrays; a ValueError, TypeError or KeyError if they are none."""
        plain = json.loads(facts)
        return cls(Progress.from_plain(plain["progress"]), dict(plain["machine"]), [dict(one) for one in plain["callbacks"]], arrays)


def name_arrays(prefix: str, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns arrays by the names prefix/0, prefix/1 ..."""
    return {f"{prefix}/{number}": array for number, array in enumerate(arrays)}


def read_variables(variables: "Iterable[keras.Variable]") -> list[np.ndarray]:
    """Returns the values of variables; of one that tf.distribute keeps on several devices, the value on each."""
    return [one.numpy() for variable in variables for one in _on_devices(variable)]


def write_variables(variables: "Iterable[keras.Variable]", values: list[np.ndarray], what: str) -> None:
    """Gives variables the values that `read_variables` returned.

    Raises:
        RunFolderError: their number or shapes differ: the checkpoint is of another model.
    """
    held = [one for variable in variables for one in _on_devices(variable)]
    if [tuple(one.shape) for one in held] != [value.shape for value in values]:
        raise RunFolderError(f"run: the checkpoint does not fit: it holds {len(values)} arrays of {what}, and the run has {len(held)}.")
    for one, value in zip(held, values, strict=True):
        one.assign(value)


def write_losses(losses: np.ndarray, values: list[np.ndarray]) -> None:
    """Overwrites the losses of the training cells, float32 (N,), with those of a checkpoint; a RunFolderError if they do not fit."""
    if [value.shape for value in values] != [losses.shape]:
        raise RunFolderError(f"run: the checkpoint does not fit: it does not hold a loss for each of the {len(losses):,} training cells.")
    losses[:] = values[0]


def _on_devices(variable: "keras.Variable") -> tuple[Any, ...]:
    value = variable.value
    return getattr(value, "values", None) or (value,)


def read_states(callbacks: "Sequence[keras.callbacks.Callback]") -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Returns what callbacks carry over from one step to the next, for a checkpoint.

    A callback that carries something over has the methods get_state(), which returns plain values and lists of arrays by name, and
    set_state(state), which takes the same in a run that goes on. Other callbacks begin anew there.

    Returns:
        The plain values of each, and the arrays of all by "callback/number/name/number".
    """
    states: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number, callback in enumerate(callbacks):
        state = callback.get_state() if hasattr(callback, "get_state") else {}
        lists = {name: value for name, value in state.items() if isinstance(value, list) and value and isinstance(value[0], np.ndarray)}
        arrays |= {f"callback/{number}/{name}/{place}": array for name, value in lists.items() for place, array in enumerate(value)}
        states.append(
            {name: value for name, value in state.items() if name not in lists} | {"arrays": {name: len(lists[name]) for name in lists}}
        )
    return states, arrays


def write_states(
    callbacks: "Sequence[keras.callbacks.Callback]", states: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]
) -> None:
    """Gives callbacks what `read_states` returned."""
    for number, (callback, state) in enumerate(zip(callbacks, states, strict=True)):
        if hasattr(callback, "set_state"):
            lists = {
                name: [arrays[f"callback/{number}/{name}/{place}"] for place in range(count)] for name, count in state["arrays"].items()
            }
            callback.set_state({name: value for name, value in state.items() if name != "arrays"} | lists)
