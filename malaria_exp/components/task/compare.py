"""Runs side by side, from the files in their folders alone."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import RunFolder, claim_run
from malaria_exp.utils.atomic_files import write_bytes, write_csv, write_text
from malaria_exp.utils.errors import RunFolderError, listing
from malaria_exp.utils.terminal_log import RESULT, log

if TYPE_CHECKING:
    from malaria_exp.components.task._compare_read import ComparedRun
    from malaria_exp.components.task._compare_table import Column, Configuration
    from malaria_exp.config.app import App
    from malaria_exp.config.run_config import Config

PAGE, RUNS_FILE, SEEDS_FILE, HISTORY_FILE = "compare.html", "runs.csv", "configurations.csv", "history.csv"


@register("task", "compare")
def compare(app: "App", /) -> None:
    """Puts runs side by side (runs=[outputs/a,outputs/b]): what differs, results, curves, as a page and CSV files."""
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="compare") as folder:
        compare_runs(app.config, folder)


def compare_runs(config: "Config", folder: RunFolder) -> None:
    """Writes compare.html, runs.csv, configurations.csv, history.csv and plots/*.png, and prints a table.

    Raises:
        ConfigError: no run is given, or something that is none.
        RunFolderError: none of the runs is finished, or one is of another task.
    """
    from malaria_exp.components.task._compare_find import find_runs
    from malaria_exp.components.task._compare_page import Page, fill_configuration, fill_runs, fill_seeds, write_page
    from malaria_exp.components.task._compare_read import read_runs
    from malaria_exp.components.task._compare_table import cautions, compare_configs, configurations
    from malaria_exp.components.task._compare_terminal import print_comparison

    runs = read_runs(find_runs(config.runs, config.cache.path, folder.path))
    done = [run for run in runs if run.done]
    if not done:
        reasons = listing(f"{run.name}: {run.status}{f', {run.reason}' if run.reason else ''}" for run in runs)
        raise RunFolderError("runs: no finished training run among them" + (f":\n{reasons}" if runs else "."))
    columns, same = compare_configs(runs)
    groups = configurations(runs, columns)
    page = Page(
        title=f"Comparison of {len(runs)} run{'s' if len(runs) > 1 else ''}",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        notes=cautions(runs),
        leaky=all(run.leaky for run in done),
    )
    for note in page.notes:
        log.warning(f"compare   {note}")
    fill_runs(page, runs, columns, folder.path)
    fill_seeds(page, groups)
    fill_configuration(page, runs, columns, same)
    for name, title, caption, png in draw_curves(groups, leaky=page.leaky):
        write_bytes(folder / "plots" / f"{name}.png", png)
        page.figures.append((title, caption, png))
    write_runs(folder / RUNS_FILE, runs, columns)
    write_configurations(folder / SEEDS_FILE, groups)
    write_history(folder / HISTORY_FILE, runs)
    write_page(folder / PAGE, page)
    folder.facts |= {"runs": len(runs), "finished": len(done), "configurations": len(groups), "leaky": page.leaky, "report": PAGE}
    print_comparison(runs, groups)
    log.log(RESULT, f"tables    {folder / RUNS_FILE}, {SEEDS_FILE}, {HISTORY_FILE}")
    log.log(RESULT, f"page      {folder / PAGE}")


def draw_curves(groups: Sequence["Configuration"], *, leaky: bool) -> list[tuple[str, str, str, bytes]]:
    """Returns (name, title, caption, PNG) of the plots; none if no run has a history.

    Args:
        groups: of runs; those of more than one get a plot of their means, before that of every run.
        leaky: stamps every plot; if only some runs are leaky, their labels say so.
    """
    from malaria_exp.components.task._compare_table import best_first
    from malaria_exp.evaluation.plots.comparison import COLORED_OF_MANY, MOST_COLORED, Series, columns_of, compare_curves
    from malaria_exp.evaluation.plots.style import png_bytes

    with_history = [group for group in groups if any(run.history for run in group.runs)]
    if not with_history:
        return []
    ranked, by = best_first(with_history)
    many = len(with_history) > MOST_COLORED
    in_color = {id(group) for group in (ranked[:COLORED_OF_MANY] if many else with_history)}

    def series_of(group: "Configuration", runs: Sequence["ComparedRun"]) -> Series:
        label = f"{'LEAKY ' if group.leaky and not leaky else ''}{group.label}"
        return Series(label, [run.history for run in runs if run.history], id(group) in in_color)

    # Those without results may have ended early, and would cut their configuration's mean short.
    means = [series_of(group, group.done if any(run.history for run in group.done) else group.runs) for group in with_history]
    every = [series_of(group, group.runs) for group in with_history]
    columns = columns_of(every, [run.monitor for group in groups for run in group.runs if run.monitor])
    gray = f" In color: the {COLORED_OF_MANY} {by}, of {len(with_history)}; the others are gray." if many else ""
    plots = []
    if any(len(one.histories) > 1 for one in means):
        caption = "The mean over the seeds of a configuration, as far as all of them were trained; the band goes from the smallest to the largest."
        plots.append(("configurations", "Configurations", caption + gray, png_bytes(compare_curves(means, columns, leaky=leaky))))
    caption = "Each line is a run, in the style of its configuration."
    plots.append(("runs", "Every run", caption + gray, png_bytes(compare_curves(every, columns, each=True, leaky=leaky))))
    return plots


def write_runs(path: Path, runs: Sequence["ComparedRun"], columns: Sequence["Column"]) -> Path:
    """Writes a row a run: status, every key in which the runs differ, results with their intervals, paths."""
    from malaria_exp.components.task._compare_read import AT_CHOSEN, RESULTS
    from malaria_exp.components.task._compare_table import text_of

    header = ["run", "status", "leaky", *(column.key for column in columns), "monitor", "objective", "best_epoch"]
    header += [f"{name}{end}" for name in RESULTS for end in ("", "_low", "_high")]
    header += [f"{name}_at_chosen" for name in AT_CHOSEN]
    header += ["subset", "test_set", "seconds", "train_seconds", "parameters", "path", "reason"]
    rows = []
    for index, run in enumerate(runs):
        row: list[Any] = [run.name, run.status, str(run.leaky).lower(), *(text_of(column.values[index]) for column in columns)]
        row += [run.monitor, run.objective, run.best_epoch]
        row += [value for name in RESULTS for value in run.results.get(name, (None, None, None))]
        row += [run.at_chosen.get(name) for name in AT_CHOSEN]
        row += [run.subset, run.test_set, run.seconds, run.train_seconds, run.parameters, run.path, run.reason]
        rows.append(row)
    return write_csv(path, header, rows)


def write_configurations(path: Path, groups: Sequence["Configuration"]) -> Path:
    """Writes a row a configuration: its runs, and n, mean, sample standard deviation, smallest and largest of each result."""
    from malaria_exp.components.task._compare_read import RESULTS
    from malaria_exp.components.task._compare_table import spreads

    parts = ("n", "mean", "sd", "min", "max")
    rows = []
    for group in groups:
        numbers = [value for s in spreads(group).values() for value in (s.n, s.mean, s.deviation, s.low, s.high)]
        rows.append([group.label, " ".join(run.name for run in group.runs), len(group.done), str(group.leaky).lower(), *numbers])
    return write_csv(path, ["configuration", "runs", "finished", "leaky", *(f"{name}_{part}" for name in RESULTS for part in parts)], rows)


def write_history(path: Path, runs: Sequence["ComparedRun"]) -> Path:
    """Writes every number of every history in long form: run, epoch, column, value; nan stays nan."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "epoch", "column", "value"])
    for run in runs:
        for row in run.history:
            writer.writerows([run.name, f"{row['epoch']:g}", column, repr(value)] for column, value in row.items() if column != "epoch")
    return write_text(path, text.getvalue())
