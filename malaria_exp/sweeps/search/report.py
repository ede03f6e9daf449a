"""The report of a sweep: one page with the best settings, every trial, and plots."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from malaria_exp.evaluation.plots import search as plots
from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.reports.table_page import Cell, Head, number_cell, shown_figure
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.sweeps.search.distributions import Parameter, text_of
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.trials import Trial, best_first
from malaria_exp.utils.atomic_files import write_bytes, write_text

TEMPLATE = "search.html.j2"
# With fewer trials a forest says nothing.
FEWEST_FOR_IMPORTANCE = 4
MOST_DIMENSIONS = 12
FINISHED = ("done", "pruned")


@dataclass
class Page:
    """What the page says.

    Attributes:
        title: of the page.
        created: when, as text.
        summary: a sentence on the search.
        best: a sentence on the best trial.
        command: that runs its settings again; empty without one.
        metric: column of the histories that was optimized.
        heads: of the table of trials.
        rows: a row a trial, the best first.
        failed: (trial, status, reason).
        space: (parameter, its distribution in words).
        text: of the sweep's file.
        leaky: whether a trial is; stamps the page.
        figures: (title, caption, PNG bytes).
    """

    title: str
    created: str
    summary: str
    best: str
    command: str
    metric: str
    text: str
    leaky: bool
    heads: list[Head] = field(default_factory=list)
    rows: list[tuple[list[Cell], list[str]]] = field(default_factory=list)
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    space: list[tuple[str, str]] = field(default_factory=list)
    figures: list[tuple[str, str, bytes]] = field(default_factory=list)


def write_report(path: Path, sweep: SweepFile, trials: list[Trial], best: Trial | None, command: str, *, seed: int) -> Path:
    """Writes the page, and its plots under plots/.

    Args:
        path: of the page.
        sweep: the sweep's file.
        trials: in the order they began.
        best: of those that ran to their end.
        command: that runs its settings again.
        seed: of the importance's forest.

    Returns:
        The path written.
    """
    seconds = sum(trial.seconds or 0 for trial in trials)
    counts = {state: sum(trial.status == state for trial in trials) for state in dict.fromkeys(trial.status for trial in trials)}
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    page = Page(
        title=f"Sweep {sweep.raw.get('name') or sweep.path.stem}",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=f"{sweep.method} search, {len(trials)} trials ({told}), {seconds / 60:.1f} minutes of their own time; to {sweep.metric.goal} {sweep.metric.column}.",
        best=f"Trial {best.name}: {sweep.metric.column} {best.objective:.4f}. Its settings again:" if best else "",
        command=command,
        metric=sweep.metric.column,
        text=sweep.text,
        leaky=any(trial.leaky for trial in trials),
        failed=[(trial.name, trial.status, trial.reason) for trial in trials if trial.status not in FINISHED],
        space=[(parameter.name, parameter.words) for parameter in sweep.parameters],
    )
    _fill_trials(page, sweep, trials, path.parent)
    for name, title, caption, png in draw(sweep, trials, seed):
        write_bytes(path.parent / "plots" / f"{name}.png", png)
        page.figures.append((title, caption, png))
    return write_text(path, template(TEMPLATE).render(page=page, figures=[shown_figure(*figure) for figure in page.figures]))


def _fill_trials(page: Page, sweep: SweepFile, trials: list[Trial], folder: Path) -> None:
    varied = sweep.varied
    page.heads = [
        Head("trial"),
        Head("status", number=False),
        Head(page.metric, largest_first=sweep.metric.goal == "maximize"),
        Head("epochs"),
    ]
    page.heads += [Head(parameter.name, number=parameter.axis != "category") for parameter in varied]
    page.heads += [Head("seconds", title="Of the whole run.")]
    for trial in best_first(trials, sweep.metric):
        link = quote((trial.path / "report.html").relative_to(folder).as_posix()) if (trial.path / "report.html").is_file() else ""
        cells = [
            Cell(trial.name, float(trial.name) if trial.name.isdigit() else trial.name, link=link, leaky=trial.leaky),
            Cell(trial.status, trial.status),
            number_cell(trial.objective, ".4f"),
            number_cell(float(len(trial.history)), ".0f"),
        ]
        for parameter in varied:
            if parameter.name not in trial.values:
                cells.append(Cell(""))
                continue
            value = trial.values[parameter.name]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            cells.append(Cell(text_of(value), float(value) if number else text_of(value)))
        page.rows.append(([*cells, number_cell(trial.seconds, ",.0f")], []))


def draw(sweep: SweepFile, trials: list[Trial], seed: int) -> list[tuple[str, str, str, bytes]]:
    """Returns (name, title, caption, PNG) of the plots that the trials allow."""
    named = {parameter.name for parameter in sweep.varied}
    rows = [
        (number, trial)
        for number, trial in enumerate(trials)
        if trial.status in FINISHED and trial.objective is not None and named <= set(trial.values)
    ]
    if not rows:
        return []
    scored = [plots.Scored(number, float(trial.objective or 0), trial.status == "pruned") for number, trial in rows]
    metric = sweep.metric.column
    leaky = any(trial.leaky for _, trial in rows)
    larger = sweep.metric.goal == "maximize"
    found = [
        (
            "course",
            "CallbackContext of the search",
            "A point is a trial, at the best of its epochs; one ended early is hollow.",
            png_bytes(plots.course(scored, metric, larger_is_better=larger, leaky=leaky)),
        )
    ]
    dimensions = [_dimension(parameter, [trial for _, trial in rows]) for parameter in sweep.varied]
    dimensions = [one for one in dimensions if len({str(value) for value in one.values}) > 1][:MOST_DIMENSIONS]
    if not dimensions:
        return found
    shares = importances(dimensions, [float(trial.objective or 0) for _, trial in rows], seed)
    if shares:
        caption = (
            "fANOVA (Hutter, Hoos, Leyton-Brown 2014) over all trials with a value; of few trials a rough guide. Of a grid or a random search it"
            " describes the space; of bayes, which tries the good regions more often, those regions."
        )
        found.append(("importance", "Importance", caption, png_bytes(plots.importance(shares, leaky=leaky))))
    caption = "A line is a trial; thin lines were ended early."
    found.append(
        (
            "parallel",
            "Parallel coordinates",
            caption,
            png_bytes(plots.parallel(dimensions, scored, metric, larger_is_better=larger, leaky=leaky)),
        )
    )
    caption = "Each parameter's value against the metric, all others as they came."
    found.append(("slices", "Slices", caption, png_bytes(plots.slices(dimensions, scored, metric, leaky=leaky))))
    return found


def _dimension(parameter: Parameter, trials: list[Trial]) -> plots.Dimension:
    values = [trial.values[parameter.name] for trial in trials]
    if parameter.axis != "category":
        return plots.Dimension(parameter.name, parameter.axis, [float(value) for value in values])
    texts = [text_of(value) for value in values]
    order = [text_of(value) for value in parameter.values or ()]
    known = [text for text in dict.fromkeys([*order, *texts]) if text in texts]
    return plots.Dimension(parameter.name, "category", texts, tuple(known))


def importances(dimensions: list[plots.Dimension], values: list[float], seed: int) -> dict[str, float]:
    """Returns the share of each parameter in the variance of the values, by Optuna's fANOVA; empty if that says nothing or Optuna is missing."""
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
