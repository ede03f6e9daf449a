"""The evaluation of a model: scores whole subsets, and computes the metrics of the scores."""

from collections.abc import Mapping
from typing import Any

from malaria_exp.config.run_config import Config
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.training.predict import Scorer, predict
from malaria_exp.training.trainer_interface import Trained


def evaluate_trained(config: Config, data: Data, trained: Trained) -> EvaluationResult:
    """Evaluates a model that was just trained, on the run's validation and test cells."""
    scorer = trained.scorer or Scorer(trained.model, config.evaluation.batch_size)
    cells = [data.open("val", "choose the threshold"), data.open("test", "final evaluation")]
    predictions, metrics = score_and_measure(config, scorer, data.manifest, cells, target_sensitivity=config.evaluation.target_sensitivity)
    return EvaluationResult.of_training(
        f"{config.one('model').name} on {config.one('dataset').name}",
        data,
        cells,
        predictions,
        metrics,
        training=trained.summary(),
        history=trained.history,
        best=trained.best,
        notes=trained.notes,
    )


def score_and_measure(
    config: Config,
    scorer: Scorer,
    manifest: Manifest,
    cells: list[Cells],
    *,
    target_sensitivity: float,
    thresholds: Mapping[str, float] | None = None,
) -> tuple[Predictions, dict[str, Any]]:
    """Scores subsets and computes their metrics; see `evaluation.evaluate.evaluate` for the last two arguments and the metrics."""
    settings = config.evaluation
    predictions = predict(scorer, manifest, cells)
    metrics = evaluate(
        predictions,
        target_sensitivity=target_sensitivity,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=config.seed,
        thresholds=thresholds,
    )
    return predictions, metrics
