"""The report of a search: one page with the best settings, every trial, and plots."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from malaria_exp.evaluation.plots import search as plots
from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.reports.page_elements import Cell, Head, Picture, Row, SortableTable, number_cell, write_pictures
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.sweeps.search.distributions import Parameter, text_of
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.trials import Trial, best_first
from malaria_exp.utils.atomic_files import write_text

# Below this number of trials the forest says nothing.
FEWEST_FOR_IMPORTANCE = 4
MOST_DIMENSIONS = 12
FINISHED = ("done", "pruned")


def write_report(path: Path, sweep: SweepFile, trials: list[Trial], best: Trial | None, command: str, evaluate: str, *, seed: int) -> Path:
    """Writes the page, and its plots under plots/.

    Args:
        path: of the page.
        sweep: the sweep's file.
        trials: in the order they began.
        best: of the trials that ran to their end.
        command: that runs its settings again; empty without one.
        evaluate: the command that opens its test subset; empty if its run has opened it.
        seed: of the importance's forest.

    Returns:
        The path written.
    """
    seconds = sum(trial.seconds or 0 for trial in trials)
    counts = ", ".join(f"{count} {status}" for status, count in Counter(trial.status for trial in trials).items())
    column = sweep.metric.column
    pictures = draw(sweep, trials, seed)
    write_pictures(path.parent, pictures)
    page = template("search.html.j2").render(
        title=f"Sweep {sweep.raw.get('name') or sweep.path.stem}",
        subtitle=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        leaky=any(trial.leaky for trial in trials),
        summary=f"{sweep.method} search, {len(trials)} trials ({counts}), {seconds / 60:.1f} minutes of their own time; to {sweep.metric.goal} {column}.",
        best=f"Trial {best.name}: {column} {best.objective:.4f}. Its settings again:" if best else "",
        command=command,
        evaluate=evaluate,
        metric=column,
        trials=_trials_table(sweep, trials, path.parent),
        pictures=pictures,
        failed=[(trial.name, trial.status, trial.reason) for trial in trials if trial.status not in FINISHED],
        space=[(parameter.name, parameter.words) for parameter in sweep.parameters],
        file_text=sweep.text,
    )
    return write_text(path, page)


def _trials_table(sweep: SweepFile, trials: list[Trial], folder: Path) -> SortableTable:
    """Returns a row a trial, the best first."""
    heads = [
        Head("trial"),
        Head("status", number=False),
        Head(sweep.metric.column, largest_first=sweep.metric.goal == "maximize"),
        Head("epochs"),
        *(Head(parameter.name, number=parameter.axis != "category", setting=True) for parameter in sweep.varied),
        Head("seconds", title="Of the whole run."),
    ]
    rows = []
    for trial in best_first(trials, sweep.metric):
        report = trial.path / "report.html"
        link = quote(report.relative_to(folder).as_posix()) if report.is_file() else ""
        cells = [
            Cell(trial.name, float(trial.name) if trial.name.isdigit() else trial.name, link=link, leaky=trial.leaky),
            Cell(trial.status, trial.status),
            number_cell(trial.objective, ".4f"),
            number_cell(float(len(trial.history)), ".0f"),
            *(_value_cell(trial.values[parameter.name]) if parameter.name in trial.values else Cell("") for parameter in sweep.varied),
            number_cell(trial.seconds, ",.0f"),
        ]
        rows.append(Row(cells))
    return SortableTable(heads, rows)


def _value_cell(value: Any) -> Cell:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(text_of(value), float(value) if number else text_of(value))


def draw(sweep: SweepFile, trials: list[Trial], seed: int) -> list[Picture]:
    """Returns the plots that the trials allow."""
    named = {parameter.name for parameter in sweep.varied}
    rows = [
        (number, trial)
        for number, trial in enumerate(trials)
        if trial.status in FINISHED and trial.objective is not None and named <= set(trial.values)
    ]
    if not rows:
        return []
    scored = [plots.Scored(number, float(trial.objective or 0), trial.status == "pruned") for number, trial in rows]
    metric, larger = sweep.metric.column, sweep.metric.goal == "maximize"
    leaky = any(trial.leaky for _, trial in rows)
    figure = plots.course(scored, metric, larger_is_better=larger, leaky=leaky)
    caption = "A point is a trial, at the best of its epochs; a pruned one, stopped as one of the worse, is hollow."
    pictures = [Picture("course", "Course of the search", caption, png_bytes(figure))]
    dimensions = [_dimension(parameter, [trial for _, trial in rows]) for parameter in sweep.varied]
    dimensions = [one for one in dimensions if len({str(value) for value in one.values}) > 1][:MOST_DIMENSIONS]
    if not dimensions:
        return pictures
    fractions = importances(dimensions, [float(trial.objective or 0) for _, trial in rows], seed)
    if fractions:
        caption = (
            "fANOVA (Hutter, Hoos, Leyton-Brown 2014) over all trials with a value; of few trials a rough guess. Of a grid or a random search it"
            " describes the whole space; of a Bayesian search, which tries good regions more often, mostly those regions."
        )
        pictures.append(Picture("importance", "Importance", caption, png_bytes(plots.importance(fractions, leaky=leaky))))
    figure = plots.parallel(dimensions, scored, metric, larger_is_better=larger, leaky=leaky)
    pictures.append(Picture("parallel", "Parallel coordinates", "A line is a trial; thin lines were pruned.", png_bytes(figure)))
    caption = "Each parameter's value against the metric, whatever the other parameters were."
    return [*pictures, Picture("slices", "Slices", caption, png_bytes(plots.slices(dimensions, scored, metric, leaky=leaky)))]


def _dimension(parameter: Parameter, trials: list[Trial]) -> plots.Dimension:
    values = [trial.values[parameter.name] for trial in trials]
    if parameter.axis != "category":
        return plots.Dimension(parameter.name, parameter.axis, [float(value) for value in values])
    texts = [text_of(value) for value in values]
    order = [text_of(value) for value in parameter.values or ()]
    known = [text for text in dict.fromkeys([*order, *texts]) if text in texts]
    return plots.Dimension(parameter.name, "category", texts, tuple(known))


def importances(dimensions: list[plots.Dimension], values: list[float], seed: int) -> dict[str, float]:
    """Returns the fraction of the values' variance that each parameter explains, by Optuna's fANOVA.

    Empty without Optuna, with too few trials or parameters, or if all values are equal.
    """
    try:
        import optuna
    except ImportError:
        return {}
    if len(values) < FEWEST_FOR_IMPORTANCE or len(dimensions) < 2 or max(values) == min(values):
        return {}
    distributions: dict[str, Any] = {}
    columns: dict[str, list[Any]] = {}
    for one in dimensions:
        places = one.places()
        columns[one.name] = list(one.values) if one.axis == "category" else places.tolist()
        distributions[one.name] = (
            optuna.distributions.CategoricalDistribution(list(one.labels))
            if one.axis == "category"
            else optuna.distributions.FloatDistribution(float(places.min()), float(places.max()))
        )
    study = optuna.create_study()
    for row, value in enumerate(values):
        params = {name: column[row] for name, column in columns.items()}
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
