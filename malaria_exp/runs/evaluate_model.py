"""The evaluation of a model: scores whole subsets, and computes the metrics of the scores."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from malaria_exp.config.run_config import Config
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.evaluation.calibration import NONE, Calibration, fit_calibration
from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.summary import first_threshold, reported_subset
from malaria_exp.evaluation.thresholds import Threshold, ThresholdRule
from malaria_exp.evaluation.usefulness.chapters import further_chapters
from malaria_exp.runs.detect_foreign import ForeignCells
from malaria_exp.runs.train_model import build_choice
from malaria_exp.training.predict import Scorer, predict
from malaria_exp.training.trainer_interface import Trained
from malaria_exp.utils.terminal_log import log


def calibrate(config: Config, data: Data, trained: Trained) -> Calibration:
    """Fits the run's calibration to the logits of its validation cells."""
    choice = config.one("calibration")
    if choice.name == NONE:
        return Calibration()
    cells = data.open("val", "fit the calibration")
    found = fit_calibration(choice.name, build_choice(choice), _scorer(config, trained).logits(cells), cells.labels)
    log.info(f"calibrate {found.note or found.words}")
    return found


def _scorer(config: Config, trained: Trained) -> Scorer:
    return trained.scorer or Scorer(trained.model, config.evaluation.batch_size)


def evaluate_trained(
    config: Config, data: Data, trained: Trained, calibration: Calibration, foreign: ForeignCells | None = None
) -> EvaluationResult:
    """Evaluates a model that was just trained, on the run's validation cells, and on its test cells unless they stay sealed."""
    cells = [data.open("val", "choose the threshold")]
    if config.evaluation.test:
        cells.append(data.open("test", "final evaluation"))
    predictions, metrics = score_and_measure(config, _scorer(config, trained), calibration, data, cells, threshold_rules(config), foreign)
    return EvaluationResult.of_training(
        f"{config.one('model').name} on {config.one('dataset').name}",
        data,
        cells,
        predictions,
        metrics,
        training=trained.summary(),
        history=trained.history,
        best=trained.best,
        notes=[*trained.notes, *([calibration.note] if calibration.note else [])],
    )


def threshold_rules(config: Config) -> dict[str, ThresholdRule | Threshold]:
    """Builds the rules by which the run's thresholds are chosen, by name."""
    return {choice.name: build_choice(choice) for choice in config.choices["threshold"]}


def interval_settings(config: Config) -> dict[str, Any]:
    """Returns how intervals are computed: interval, resamples, confidence and seed."""
    settings = config.evaluation
    return {
        "interval": build_choice(config.one("interval")),
        "resamples": settings.resamples,
        "confidence": settings.confidence,
        "seed": config.seed,
    }


def score_and_measure(
    config: Config,
    scorer: Scorer,
    calibration: Calibration,
    data: Data,
    cells: list[Cells],
    thresholds: Mapping[str, ThresholdRule | Threshold],
    foreign: ForeignCells | None,
) -> tuple[Predictions, dict[str, Any]]:
    """Scores subsets with a model, whose logits are calibrated, and computes their metrics; see `evaluation.evaluate.evaluate`.

    With a detector, it also counts the cells that do not look like the training data, of subsets by which that was not fitted.
    """
    predictions, uncalibrated = predict(scorer, data.manifest, cells, calibration.map)
    intervals = interval_settings(config)
    metrics = evaluate(
        predictions,
        uncalibrated=None if calibration.map.identity else uncalibrated,
        thresholds=thresholds,
        **intervals,
    )
    shown = reported_subset(metrics)
    metrics["subsets"][shown] |= further_chapters(
        predictions.select(shown),
        metrics["thresholds"][first_threshold(metrics)]["value"],
        [predictions.select("val")] if shown == "test" and "val" in predictions.subsets else [],
        columns=data.columns_of([one for one in cells if one.subset == shown]),
        **intervals,
    )
    about: dict[str, Any] = {"calibration": {"name": calibration.name, "parameters": asdict(calibration.map)}, "ood": None}
    if foreign:
        about["ood"] = {"name": foreign.detector.name, "false_warnings": foreign.detector.false_warnings}
        for subset in cells:
            if subset.subset != "val":
                metrics["subsets"][subset.subset]["ood"] = foreign.count(subset, data.manifest.patient)
    return predictions, about | metrics
