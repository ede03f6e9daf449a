"""The end of a sweep: its trials, the best first, on the terminal and in files; the same for every engine."""

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.sweeps.search.distributions import text_of
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.report import write_report
from malaria_exp.sweeps.search.trial_command import shown_command
from malaria_exp.sweeps.search.trials import Trial, best_first, read_trials, winner
from malaria_exp.utils.atomic_files import write_csv, write_json
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.progress_bars import console
from malaria_exp.utils.terminal_log import RESULT, log

LEADERBOARD, BEST, REPORT = "leaderboard.csv", "best.json", "report.html"
SHOWN = 10
COLORS = {"done": "green", "failed": "red", "no number": "red"}


def conclude(sweep: SweepFile, folder: Path, overrides: list[str], seed: int) -> dict[str, Any]:
    """Writes leaderboard.csv, best.json and report.html of a sweep, prints its table, and returns facts for status.json.

    Args:
        sweep: its file.
        folder: its folder.
        overrides: given to all trials.
        seed: of the importance's forest.

    Raises:
        RunFolderError: no trial ran to its end.
    """
    trials = read_trials(folder, sweep.metric)
    ranked = best_first(trials, sweep.metric)
    write_csv(folder / LEADERBOARD, *as_table(sweep, ranked))
    best = winner(trials, sweep.metric)
    command = best_command(sweep, best, overrides) if best else ""
    evaluate = (
        shown_command(["python", sweep.program, "task=evaluate", *to_overrides({"run": str(best.path)})]) if best and best.sealed else ""
    )
    if best:
        own = {parameter.name: best.values.get(parameter.name) for parameter in sweep.parameters}
        found = {"trial": best.name, sweep.metric.column: best.objective, "values": own, "command": command, "evaluate": evaluate}
        write_json(folder / BEST, found)
    report = write_report(folder / REPORT, sweep, trials, best, command, evaluate, seed=seed)
    if trials:
        print_table(sweep, ranked)
    counts = {state: sum(trial.status == state for trial in trials) for state in dict.fromkeys(trial.status for trial in trials)}
    if best is None:
        reasons = "\n".join(f"  trial {trial.name}: {trial.status}{f', {trial.reason}' if trial.reason else ''}" for trial in trials[:5])
        raise RunFolderError(f"sweep: none of {len(trials)} trials ran to its end" + (f":\n{reasons}" if trials else "."))
    log.log(RESULT, f"best      trial {best.name}: {sweep.metric.column} {best.objective:.4f}; the command:\n  {command}")
    if evaluate:
        log.log(RESULT, f"test      this opens its test subset, which no trial did:\n  {evaluate}")
    log.log(RESULT, f"table     {folder / LEADERBOARD}")
    log.log(RESULT, f"report    {report}")
    return {"trials": counts, "best_trial": best.name, "objective": best.objective, "report": REPORT}


def best_command(sweep: SweepFile, best: Trial, overrides: list[str]) -> str:
    """Returns the command that runs the best trial's settings again, to paste into a shell."""
    values = {parameter.name: best.values[parameter.name] for parameter in sweep.parameters if parameter.name in best.values}
    return shown_command(["python", sweep.program, *overrides, *to_overrides(values)])


def as_table(sweep: SweepFile, ranked: list[Trial]) -> tuple[list[str], list[list[Any]]]:
    """Returns the header and the rows of leaderboard.csv, the best first, without results on test cells: nobody shall choose by them."""
    names = [parameter.name for parameter in sweep.parameters]
    header = ["trial", "status", sweep.metric.column, "epochs", *names, "seconds", "path", "reason"]
    rows = []
    for trial in ranked:
        values = [trial.values.get(name) for name in names]
        texts = [value if isinstance(value, str | int | float) else json.dumps(value) for value in values]
        rows.append([trial.name, trial.status, trial.objective, len(trial.history), *texts, trial.seconds, trial.path, trial.reason])
    return header, rows


def print_table(sweep: SweepFile, ranked: list[Trial]) -> None:
    """Prints the best trials, and how many more there are."""
    names = [parameter.name for parameter in sweep.varied]
    short = [name.rpartition(".")[2] for name in names]
    heads = [last if short.count(last) == 1 else name for name, last in zip(names, short, strict=True)]
    table = Table(title=f"Best of {len(ranked)} trials", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("trial", "status", sweep.metric.column, "settings", "seconds"):
        # Settings are folded, not cut; the other columns are never wrapped.
        text = column == "settings"
        table.add_column(column, justify="left" if text or column == "status" else "right", overflow="fold", no_wrap=not text)
    for trial in ranked[:SHOWN]:
        value = "" if trial.objective is None else f"{trial.objective:.4f}"
        settings = [f"{head}={text_of(trial.values[name])}" for head, name in zip(heads, names, strict=True) if name in trial.values]
        color = COLORS.get(trial.status, "yellow")
        seconds = "" if trial.seconds is None else f"{trial.seconds:.0f}"
        table.add_row(trial.name, f"[{color}]{trial.status}[/]", value, escape(" ".join(settings)), seconds)
    console().print(table)
    if len(ranked) > SHOWN:
        console().print(f"... and {len(ranked) - SHOWN} more, see {LEADERBOARD}")
