"""Explaining a finished run's scores: maps of chosen cells by every chosen method, and two checks of the methods themselves."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config
from malaria_exp.data.resize import resize
from malaria_exp.deployment.explanations.chosen_cells import Settings
from malaria_exp.deployment.explanations.explained_model import ExplainedModel, Explanation
from malaria_exp.deployment.explanations.overlay import to_cell
from malaria_exp.deployment.explanations.page import Findings, write_numbers, write_page
from malaria_exp.deployment.explanations.pointing_game import hit_rate
from malaria_exp.deployment.explanations.randomization import Stage, hardly_changed, randomize
from malaria_exp.deployment.explanations.read_cells import Cells, chosen_cells, given_cells
from malaria_exp.runs import provenance
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.read_files import PROVENANCE, thresholds_of
from malaria_exp.runs.remote_runs import local_run
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.runs.saved_model import SavedModel, load_model
from malaria_exp.runs.storage import open_storage
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.progress_bars import progress_bar
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

# Cells in one call of a method, between two steps of the progress bar.
CHUNK = 4


def explain(config: Config, folder: RunFolder, overrides: list[str], settings: Settings) -> None:
    """Explains scores of the run that the configuration names, into a new folder.

    Raises:
        ConfigError: no run or no method is given, or a method cannot work with this model.
        RunFolderError: the run is not finished or damaged.
        DataError: the run's data has changed, or an image cannot be used.
    """
    if config.run is None:
        raise ConfigError("run: missing; task=explain needs the folder of a finished run: run=outputs/...")
    methods: dict[str, Explanation] = {one.name: build("explanation", one.name, one.params) for one in config.choices["explanation"]}
    if not methods:
        raise ConfigError(
            "explanation: no method is chosen; explanation=[grad_cam,occlusion,integrated_gradients] chooses all that are built in."
        )
    open_storage(config).check()
    run = FinishedRun.read(local_run(config.run, config.cache.path))
    name, threshold = next(iter(thresholds_of(run.metrics).items()))
    # A method's numbers should not depend on the precision that was fastest to train in.
    load_tensorflow()
    saved = load_model(run.path, "float32")
    model = ExplainedModel.of(saved)
    cells = given_cells(config, saved.rule, model) if config.images else chosen_cells(config, run, saved.rule, threshold.value, settings)
    squares = np.stack([cell.square for cell in cells.shown])
    maps = _draw(model, methods, squares, "explaining")
    checked = squares[np.unique(np.linspace(0, len(squares) - 1, min(settings.check, len(squares))).astype(int))]
    stages = _check(config, saved, model, methods, checked) if settings.check else []
    pointing = _point(config, model, methods, cells, saved) if cells.targets else {}
    warnings = hardly_changed(stages)
    for warning in warnings:
        log.warning(f"explain   {warning}")
    findings = Findings(
        subject=f"{saved.record['model']['name']} of run {run.path.name}",
        where=cells.where,
        threshold=(name, threshold.value),
        methods=methods,
        groups=cells.groups,
        maps=maps,
        rule=saved.rule,
        stages=stages,
        checked=len(checked),
        warnings=warnings,
        pointing=pointing,
        confidence=config.evaluation.confidence,
        leaky=bool(run.metrics.get("leaky")) or run.manifest.leaky,
    )
    write_json(folder / PROVENANCE, provenance.collect(seed=config.seed, overrides=overrides))
    write_numbers(folder.path, findings)
    page = write_page(folder.path, findings)
    folder.facts |= {"cells": len(cells.shown), "methods": list(methods)}
    log.info(f"explained {len(cells.shown)} cells by {', '.join(methods)}\n          {page}")


def _draw(model: ExplainedModel, methods: Mapping[str, Explanation], squares: np.ndarray, what: str) -> dict[str, np.ndarray]:
    """Returns the maps of cells, (N, m, m), by method."""
    found = {}
    with progress_bar() as bar:
        task = bar.add_task(what, total=len(methods) * len(squares))
        for name, method in methods.items():
            parts = []
            for start in range(0, len(squares), CHUNK):
                parts.append(np.asarray(method(model, squares[start : start + CHUNK]), np.float64))
                bar.advance(task, len(parts[-1]))
            found[name] = np.concatenate(parts)
            shape = found[name].shape
            if len(shape) != 3 or len(found[name]) != len(squares) or shape[1] != shape[2] or not np.isfinite(found[name]).all():
                raise ConfigError(f"explanation.{name}: expected a finite map (m, m) of each of {len(squares)} cells. Received: {shape}")
    return found


def _check(
    config: Config, saved: SavedModel, model: ExplainedModel, methods: Mapping[str, Explanation], squares: np.ndarray
) -> list[Stage]:
    import keras

    keras.utils.set_random_seed(config.seed)
    record = saved.record["model"]
    fresh = build("model", record["name"], record["params"])
    edge = squares.shape[1:3]

    def draw() -> dict[str, np.ndarray]:
        maps = _draw(model, methods, squares, "checking")
        return {name: np.stack([to_cell(one, edge, saved.rule) for one in values]) for name, values in maps.items()}

    return randomize(model.network, fresh, squares, draw)


def _point(
    config: Config, model: ExplainedModel, methods: Mapping[str, Explanation], cells: Cells, saved: SavedModel
) -> dict[str, dict[str, Any]]:
    """Returns, by method and for chance, the hit rate with its interval, and the number of cells."""
    targets, rule = cells.targets, saved.rule
    maps = _draw(model, methods, np.stack([resize(target.image, rule) for target in targets]), "pointing")
    choice, patients = config.one("interval"), np.array(cells.patients)
    found = {}
    for name, values in maps.items():
        hits = np.array([target.hit(one, rule) for target, one in zip(targets, values, strict=True)])
        found[name] = hit_rate(
            hits,
            patients,
            build("interval", choice.name, choice.params),
            resamples=config.evaluation.resamples,
            confidence=config.evaluation.confidence,
            seed=config.seed,
        )
    chance = float(np.mean([target.chance(rule) for target in targets]))
    return {"methods": found, "chance": {"value": chance}, "cells": {"value": len(targets), "patients": len(set(cells.patients))}}
