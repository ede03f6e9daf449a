"""Draws random configurations and runs each through to the end of a tiny run, in one process.

    python benchmarks/fuzz_config.py [--sets 1000] [--seed 0] [--only 17]

A set is one to eight overrides over all groups: options, their parameters, top-level keys; values that the annotations allow, values that
they do not, and lines that are no overrides. Of each set one of these has to come:
    refused     one message before any work, and no folder
    by data     one message after the data was read, because it does not fit these cells; the run's status says the same
    diverged    the training itself went to infinity, and the run says so
    done        a finished run: status, metrics, predictions and report
Everything else is a failure: a traceback, a folder that a refused set leaves, an error that differs from the status, a run that hangs.
Prints the machine, counts and times, what the data refused, and the sets that failed; exit code 1 if there was any.
"""

import argparse
import inspect
import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from malaria_exp.config.registry import GROUPS, build, component, options
from malaria_exp.config.run_config import EvaluationConfig
from malaria_exp.config.validation import Range
from malaria_exp.main import run_in_process
from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.utils.errors import DataError, UserError
from malaria_exp.utils.machine import machine
from malaria_exp.utils.terminal_log import set_terminal_level, start_terminal_log

SECONDS = 600
OUTCOMES = ("refused", "by data", "diverged", "done", "failure")
# What makes a run tiny, by the option that has the key.
TINY: dict[str, dict[str, Any]] = {
    "dataset.synthetic": {"infected_patients": 8, "healthy_patients": 3, "cells_per_patient": 8, "cell_size": 40},
    "model.cellnet": {"stem": 4, "widths": [8]},
    "model.vit": {"width": 8, "depth": 1, "heads": 2},
    "model.transfer": {"image_size": 32},
    "trainer.staged": {"stages": [{"epochs": 1, "train": ["*"]}]},
    "": {"batch_size": 16, "evaluation.resamples": 20, "evaluation.worst": 4, "evaluation.batch_size": 64},
}
TINY_KEYS = {"image_size": 32, "epochs": 1, "precision": "float32", "filters": 2, "filters_2": 3, "units": 4, "units_2": 3, "blocks": [1]}
# A key that only looks harmless: large values of it are allowed and would take hours, or it reaches a network.
SMALL: dict[str, tuple[Any, ...]] = {
    "image_size": (16, 24, 32, 48),
    "epochs": (1, 2),
    "infected_patients": (6, 8, 10),
    "healthy_patients": (0, 2, 3),
    "cells_per_patient": (4, 8, 12),
    "cell_size": (24, 40, 60),
    "batch_size": (1, 7, 16, 100000),
    "resamples": (10, 20),
    "workers": (0, 1, 2),
    "strategy": ("none", "mirrored", "auto", "multi_worker"),
    "monitor": ("val_auc", "val_loss", "val_f1", "val_accuracy", "val_nothing", "auc"),
    "stages": (
        [{"epochs": 1, "train": ["logit"]}, {"epochs": 1, "train": ["*"], "learning_rate": 0.1}],
        [{"epochs": 1, "train": ["x"]}],
        [],
    ),
    "transforms": ([{"HorizontalFlip": {"p": 0.5}}], [{"Flip": {}}], [{"Blur": {"blur_limit": "x"}}], []),
    "layers": ([{"RandomFlip": {}}], [{"RandomFlop": {}}], [{"RandomRotation": {"factor": "x"}}], []),
    "backbone": ("mobilenet_v2",),
    "weights": (None, "nothing.h5"),
    "mode": ("auto", "plain", "quiet", "rich", "disabled", "loud"),
    "url": ("{tmp}/store", "nothing://x", "ftp://x"),
    "mount": ("{tmp}/nothing",),
    "data_dir": ("{tmp}/nothing",),
    "download": (False,),
    "runs": ([], ["{tmp}/nothing"]),
    "uri": (None,),
    "mappings": ([], ["{tmp}/nothing.csv"]),
    "csv": (None, "{tmp}/nothing.csv"),
    "path": ("{tmp}/cells", "{tmp}/nothing", "{tmp}/store"),
    "positive": (None, "Parasitized", 5),
    "negative": (None, "Uninfected"),
}
# Options that need an account, a network (tfds would fetch the whole set) or another program; their parameters are drawn from what stands in SMALL.
ALWAYS: dict[str, dict[str, Any]] = {
    "nih": {"path": "{tmp}/cells"},
    "folder": {"path": "{tmp}/cells"},
    "tfds": {"data_dir": "{tmp}/nothing", "download": False},
    "wandb": {"mode": "disabled"},
}
RARE = {"wandb": 0.1, "mlflow": 0.1, "transfer": 0.2, "profile": 0.3, "google_drive": 0.5, "ensemble": 0.3}
# Null or true would fetch hundreds of megabytes where there is a network.
FETCHES = ("path", "download", "weights", "backbone", "url")
DURATIONS = ("10%", "1 epochs", "3 steps", "20 examples", "0%", "100%", "5 epochs", "101%", "3", "ten steps", "10 %", "1.5 epochs")
WRONG: tuple[Any, ...] = (
    None,
    "abc",
    "",
    [],
    [1, "x"],
    {},
    {"a": 1},
    True,
    -1,
    0,
    1.5,
    10**18,
    -(10**18),
    1e300,
    float("nan"),
    float("inf"),
    "é",
    "a=b",
    "${seed}",
)
LINES: tuple[str, ...] = (
    "seed",
    "=1",
    "model=[cellnet",
    "x=1",
    "+x=1",
    "~seed",
    "~loss",
    "~aug",
    "lr=1",
    "seed=0,1",
    "model=cellnet,vit",
    "seed=${nope}",
    "++aug=3",
)
LINES += (
    "loss={}",
    "plugins=['']",
    "plugins=[../x]",
    "plugins=[nothing]",
    "experiment=[callbacks,custom_loop]",
    "seed=range(3)",
    "task=trian",
    "",
)
TOP: dict[str, Any] = {
    "seed": Annotated[int, Range(low=0, below=2**32)],
    "batch_size": Annotated[int, Range(low=1)],
    "init_from": Literal["{tmp}/nothing", "nothing.h5", "x.txt"],
    "save_as": list[Literal["keras", "weights", "saved_model"]],
    "limit_cells": Annotated[int, Range(low=2, high=60)] | None,
    "allow_leak": bool,
    "resume": bool,
    "model.input": Literal["prepared", "raw"],
    "cache.resize": Literal["pad", "stretch"],
    "cache.workers": Annotated[int, Range(low=0)],
    "cache.resident_gb": Annotated[float, Range(low=0)],
    **{f"evaluation.{name}": annotation for name, annotation in EvaluationConfig.__annotations__.items()},
}


def draw(seed: int, number: int) -> list[str]:
    """Returns the overrides of a set; they depend on both numbers alone. {tmp} stands for the folder of the cells."""
    rng = random.Random(f"{seed} {number}")
    chosen = {group: _choose(rng, group) for group in GROUPS if group != "task" and rng.random() < 0.2}
    valid = rng.random() < 0.6
    values: dict[str, Any] = {}
    names = {"dataset": ["synthetic"], "model": ["cellnet"], "trainer": ["fit"], "aug": ["dihedral"], "optimizer": ["adamw"]} | chosen
    for group, found in names.items():
        for name in found:
            for key, parameter in component(group, name).parameters.items():
                tiny = ALWAYS.get(name, {}) | TINY.get(f"{group}.{name}", {})
                if key in tiny or key in TINY_KEYS:
                    values[_path(group, name, key)] = tiny.get(key, TINY_KEYS.get(key))
                elif parameter.default is inspect.Parameter.empty:
                    values[_path(group, name, key)] = _value(rng, key, parameter.annotation, valid)
    values |= TINY[""]
    for _ in range(rng.randrange(1, 5)):
        group = rng.choice([*names, ""])
        if not group:
            key = rng.choice(list(TOP))
            values[key] = _value(rng, key, TOP[key], valid)
            continue
        name = rng.choice(names[group])
        if parameters := component(group, name).parameters:
            key = rng.choice(list(parameters))
            values[_path(group, name, key)] = _value(rng, key, parameters[key].annotation, valid)
    lines = [f"{group}=[{','.join(found)}]" if GROUPS[group].many else f"{group}={found[0]}" for group, found in chosen.items()]
    lines += [line for key, value in values.items() for line in to_overrides({key: value})]
    if not valid and rng.random() < 0.3:
        where = rng.randrange(len(lines))
        lines[where:where] = [rng.choice([*LINES, _misspelled(rng, rng.choice(lines))])]
    return lines


def _choose(rng: random.Random, group: str) -> list[str]:
    names = [name for name in options(group) if rng.random() < RARE.get(name, 1.0)]
    return rng.sample(names, rng.randrange(1, 4)) if GROUPS[group].many else [rng.choice(names)]


def _path(group: str, name: str, key: str) -> str:
    return f"{group}.{name}.{key}" if GROUPS[group].many else f"{group}.{key}"


def _value(rng: random.Random, key: str, annotation: Any, valid: bool) -> Any:
    """Returns a value that the annotation allows, or, if not `valid`, often one that it does not."""
    word = key.rpartition(".")[2]
    if not valid and rng.random() < 0.6 and word not in FETCHES:
        return rng.choice(WRONG)
    if word in SMALL:
        return rng.choice(SMALL[word])
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        rule = inner[1]
        if not isinstance(rule, Range):
            return rng.choice(DURATIONS)
        low = rule.low if rule.low is not None else rule.above if rule.above is not None else 0
        high = rule.high if rule.high is not None else rule.below if rule.below is not None else low + 4
        drawn = rng.choice([low, low + (min(high, low + 4) - low) * rng.random()] + ([high] if high <= 100 else []))
        return int(drawn) if inner[0] is int else float(drawn)
    if origin is Literal:
        return rng.choice(inner)
    if origin in (Union, types.UnionType):
        return _value(rng, key, rng.choice(inner), valid)
    if origin is list:
        return [_value(rng, "", inner[0], valid) for _ in range(rng.randrange(1, 4))]
    return {bool: rng.random() < 0.5, int: rng.randrange(5), float: rng.random(), str: "words"}.get(annotation)


def _misspelled(rng: random.Random, line: str) -> str:
    where = rng.randrange(len(line))
    return line[:where] + rng.choice(["", "x", "=", ",", "[", " "]) + line[where + 1 :]


def attempt(overrides: Sequence[str], folder: Path) -> tuple[str, str]:
    """Runs a set.

    Args:
        overrides: of the set.
        folder: that the run would have.

    Returns:
        One of refused, by data, diverged, done and failure; and the message, or what is wrong.
    """
    try:
        run_in_process([*overrides, *to_overrides({"hydra.run.dir": str(folder)})])
    except UserError as error:
        return judge(error, folder)
    except Exception:  # noqa: BLE001 - whatever comes is a failure
        return "failure", traceback.format_exc()
    missing = [name for name in ("metrics.json", "predictions.csv", "report.html", "model.keras") if not (folder / name).is_file()]
    status = json.loads((folder / "status.json").read_text())
    if missing or status["status"] != "done":
        return "failure", f"ended without {', '.join(missing) or 'a word'}: {status}"
    return "done", ""


def judge(error: UserError, folder: Path) -> tuple[str, str]:
    """Returns what came of a set that ended with a message, as `attempt` does."""
    text = str(error)
    if not text.strip() or "Traceback" in text:
        return "failure", f"no message: {text!r}"
    if not folder.exists():
        return "refused", text
    status = json.loads((folder / "status.json").read_text())
    if (status["status"], status.get("error")) != ("failed", type(error).__name__) or not status["reason"]:
        return "failure", f"the status differs from the message '{text}': {status}"
    if "diverged" in text:
        return "diverged", text
    if not isinstance(error, DataError) and "INFO dataset " not in (folder / "run.log").read_text():
        return "failure", f"refused before the data was read, and yet there is a folder: {text}"
    return "by data", text


def write_cells(folder: Path) -> None:
    """Writes synthetic cells as files in the official layout."""
    table = build("dataset", "synthetic", {"infected_patients": 8, "healthy_patients": 3, "cells_per_patient": 8, "cell_size": 40})
    for row in range(len(table)):
        path = folder / ("Parasitized" if table.label[row] else "Uninfected") / f"{table.cell_id[row]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(table.source.read(row))).save(path)


def _alarm(*_: object) -> None:
    raise TimeoutError(f"no end after {SECONDS} s")


def main() -> int:
    """Runs the sets and prints what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one set, to see what it does")
    arguments = parser.parse_args()
    facts = machine()
    print(f"{facts}; seed {arguments.seed}", flush=True)
    # A set that takes all memory must fail as itself, and not take the machine with it.
    resource.setrlimit(resource.RLIMIT_AS, (int(facts.get("memory_gb", 64) * 1e9),) * 2)
    signal.signal(signal.SIGALRM, _alarm)
    start_terminal_log()
    set_terminal_level(None if arguments.only is not None else logging.CRITICAL)
    counts: Counter[str] = Counter()
    seconds: dict[str, float] = dict.fromkeys(OUTCOMES, 0.0)
    by_data: Counter[str] = Counter()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        tmp = Path(temporary)
        os.environ |= {"MALARIA_EXP_CACHE": f"{tmp}/cache", "MALARIA_EXP_OUTPUTS": f"{tmp}/outputs", "WANDB_MODE": "disabled"}
        os.chdir(tmp)
        write_cells(tmp / "cells")
        for number in range(arguments.sets) if arguments.only is None else [arguments.only]:
            overrides = [item.replace("{tmp}", temporary) for item in draw(arguments.seed, number)]
            began = time.perf_counter()
            signal.alarm(SECONDS)
            how, text = attempt(overrides, tmp / "run")
            signal.alarm(0)
            shutil.rmtree(tmp / "run", ignore_errors=True)
            counts[how] += 1
            seconds[how] += time.perf_counter() - began
            by_data.update([text.splitlines()[0][:150]] if how in ("by data", "diverged") else [])
            if how == "failure" or arguments.only is not None:
                print(f"set {number}: {how}\n  {' '.join(overrides)}\n  {text[-3000:]}", flush=True)
    for how, count in counts.most_common():
        print(f"{how:<10}{count:>6}  {seconds[how] / count:7.2f} s each")
    for text, count in by_data.most_common():
        print(f"  {count:>4} x {text}")
    print(f"{sum(counts.values())} sets, {counts['failure']} failures, {time.perf_counter() - start:.0f} s")
    return bool(counts["failure"])


if __name__ == "__main__":
    sys.exit(main())
