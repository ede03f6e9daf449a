"""The end of a multirun: a table of its jobs with status and headline metrics, failed ones included, and the exit code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.markup import escape
from rich.table import Table

from malaria_exp.runs.run_folder import STATUS
from malaria_exp.sweeps.job_status import read_status
from malaria_exp.sweeps.multirun_record import read_record
from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.progress_bars import console

METRICS = ("auc", "accuracy", "sensitivity", "specificity")
SHORT = {"accuracy": "acc.", "sensitivity": "sens.", "specificity": "spec."}
# Validation first: whoever chooses among jobs chooses by it, and not by test cells.
MONITOR, SECONDS = "val_monitor", "seconds"
# Widths on the terminal: of the columns of numbers, of all others but the overrides together, and the most that is given to those.
NUMBER, OTHERS, LONGEST = 7, 19, 36
# Of more jobs the terminal shows so many, first those that did not end well; jobs.csv has all.
MOST_SHOWN = 200

_sweep_dirs: list[Path] = []


def remember(folder: Path) -> None:
    """Tells `print_summary` which folder a multirun writes to."""
    _sweep_dirs[:] = [folder]


def print_summary() -> int:
    """Prints the table of the multirun that just ended and writes it to jobs.csv; pools folds and seeds; returns 1 if a job did not end well, else 0."""
    rows = collect_jobs(folder := _sweep_dirs.pop()) if _sweep_dirs else []
    if not rows:
        return 0
    write_csv(folder / "jobs.csv", list(rows[0]), [list(row.values()) for row in rows])
    shown = rows
    if len(rows) > MOST_SHOWN:
        first = sorted(range(len(rows)), key=lambda place: rows[place]["status"] == "done")[:MOST_SHOWN]
        shown = [rows[place] for place in sorted(first)]
    title = f"{len(rows)} jobs in {folder}" + ("" if shown is rows else f"; {len(shown)} of them, all are in jobs.csv")
    # Overrides that all jobs share tell nothing apart.
    shared = set.intersection(*(set(row["overrides"].split()) for row in rows)) if len(rows) > 1 else set()
    own = [[item for item in row["overrides"].split() if item not in shared] for row in shown]
    console().print(_table(title, shown, own))
    for row in shown:
        if row["reason"]:
            console().print(f"job {row['job']} {row['status']}: {row['reason']}", markup=False)
    unfinished = sum(row["status"] != "done" for row in rows)
    if unfinished:
        console().print(
            f"{unfinished} of {len(rows)} jobs did not end well; the same command with resume=true runs only those", markup=False
        )
    # Imported only here: every run of the program imports this module.
    from malaria_exp.sweeps.multirun_join import join_jobs
    from malaria_exp.sweeps.multirun_pool import pool_jobs

    jobs = [(row["job"], row["status"], row["overrides"].split()) for row in rows]
    pool_jobs(folder, jobs)
    join_jobs(folder, jobs)
    return int(unfinished > 0)


def collect_jobs(folder: Path) -> list[dict[str, Any]]:
    """Returns a row a job, in order: job, overrides, status, numbers, reason; read from each job's status.json.

    The numbers are the monitor's best value, the metrics of each subset that any job has opened, as val_auc, test_auc, and the seconds.
    """
    # Imported only here, as in job_status.py.
    from malaria_exp.evaluation.predictions import SUBSETS

    jobs = {}
    for path in folder.glob(f"*/{STATUS}"):
        jobs[path.parent.name] = read_status(path.parent) or {"status": "failed", "reason": f"{path} cannot be read"}
    record = read_record(folder)
    for number, overrides in enumerate(record.jobs if record else []):
        jobs.setdefault(str(number), {"status": "missing", "overrides": overrides})
    opened = {subset for status in jobs.values() for subset in _headline(status)}
    rows = []
    for job, status in sorted(jobs.items(), key=lambda item: (len(item[0]), item[0])):
        numbers = {MONITOR: status.get("objective")}
        numbers |= {
            f"{subset}_{name}": _headline(status).get(subset, {}).get(name) for subset in SUBSETS if subset in opened for name in METRICS
        }
        about = {"job": job, "overrides": " ".join(status.get("overrides", [])), "status": status.get("status", "?")}
        rows.append({**about, **numbers, SECONDS: status.get("seconds"), "reason": status.get("reason", "")})
    return rows


def _headline(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the headline numbers of a status by subset; empty if there are none, or of another form."""
    found = status.get("headline")
    return {key: value for key, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}


def _table(title: str, rows: list[dict[str, Any]], overrides: list[list[str]]) -> Table:
    """Returns the table of the terminal.

    Args:
        title: of the table.
        rows: of the jobs that are shown.
        overrides: of each of them, those that are shown.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=0)
    longest = max((len(item) for items in overrides for item in items), default=0)
    numbers = [name for name in rows[0] if name not in ("job", "overrides", "status", "reason")]
    # On a narrow terminal the last columns are left out; never those of the validation cells, which are what jobs are chosen by.
    first = sum(name.startswith("val_") for name in numbers)
    room = console().width - OTHERS
    least = max(6, min(max(16, longest), LONGEST, room - first * NUMBER))
    shown = numbers[: max(first, (room - least) // NUMBER)]
    for column in ("job", "overrides", "status", *shown):
        # Overrides are folded, not cut: the part that tells two jobs apart is often their end.
        justify: Literal["left", "right"] = "left" if column in ("overrides", "status") else "right"
        subset, _, name = column.rpartition("_")
        head = f"{subset}\n{SHORT.get(name, name)}"
        wide = column == "overrides"
        table.add_column(head, justify=justify, overflow="fold", no_wrap=not wide, min_width=least if wide else None)
    for row, items in zip(rows, overrides, strict=True):
        color = {"done": "green", "failed": "red"}.get(row["status"], "yellow")
        texts = {name: "" if row[name] is None else f"{row[name]:{'.0f' if name == SECONDS else '.4f'}}" for name in shown}
        texts |= {"job": row["job"], "overrides": escape(" ".join(items)), "status": f"[{color}]{row['status']}[/]"}
        table.add_row(*(texts[column] for column in ("job", "overrides", "status", *shown)))
    return table
