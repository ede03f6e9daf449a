"""The end of a multirun: a table of its jobs with status and headline metrics, failed ones included, and the exit code."""

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
# Validation first: whoever chooses among jobs chooses by it, and not by test cells.
NUMBERS = ("objective", *METRICS, "seconds")
# Columns of the terminal that all but the overrides need.
OTHER_COLUMNS = 72
# Not shown on a narrow terminal; the widest that the column of overrides is made.
WIDE_ONLY, LONGEST = ("accuracy", "seconds"), 36
# Of more jobs the terminal shows so many, first those that did not end well; jobs.csv has all.
MOST_SHOWN = 200

_sweep_dirs: list[Path] = []


def remember(folder: Path) -> None:
    """Tells `print_summary` which folder a multirun writes to."""
    _sweep_dirs[:] = [folder]


def print_summary() -> int:
    """Prints the table of the multirun that just ended and writes it to jobs.csv; returns 1 if a job did not end well, else 0."""
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
    return int(unfinished > 0)


def collect_jobs(folder: Path) -> list[dict[str, Any]]:
    """Returns a row a job, in order: job, overrides, status, objective, subset of the metrics, metrics, seconds, reason; read from each job's status.json."""
    rows = {}
    for path in folder.glob(f"*/{STATUS}"):
        status = read_status(path.parent) or {"status": "failed", "reason": f"{path} cannot be read"}
        numbers = status.get("headline", {}) | {name: status.get(name) for name in ("objective", "seconds")}
        rows[path.parent.name] = _row(
            path.parent.name, status.get("overrides", []), status.get("status", "?"), numbers, status.get("reason", "")
        )
    record = read_record(folder)
    for number, overrides in enumerate(record.jobs if record else []):
        rows.setdefault(str(number), _row(str(number), overrides, "missing", {}, ""))
    return sorted(rows.values(), key=lambda row: (len(row["job"]), row["job"]))


def _row(job: str, overrides: list[str], status: str, numbers: dict[str, Any], reason: str) -> dict[str, Any]:
    values = {name: numbers.get(name) for name in ("objective", "subset", *NUMBERS[1:])}
    return {"job": job, "overrides": " ".join(overrides), "status": status, **values, "reason": reason}


def _table(title: str, rows: list[dict[str, Any]], overrides: list[list[str]]) -> Table:
    """Returns the table of the terminal.

    Args:
        title: of the table.
        rows: of the jobs that are shown.
        overrides: of each of them, those that are shown.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    longest = max((len(item) for items in overrides for item in items), default=0)
    columns = ["job", "overrides", "status", *NUMBERS]
    if console().width < OTHER_COLUMNS + longest:
        columns = [column for column in columns if column not in WIDE_ONLY]
    subsets = {row["subset"] for row in rows if row["subset"]}
    # The cells that the numbers are of stand above them; of jobs that were scored on different kinds of cells nothing does.
    subset = subsets.pop() if len(subsets) == 1 else ""
    heads = {"objective": "val\nmonitor", **{name: f"{subset}\n{name}" for name in METRICS}}
    for column in columns:
        # Overrides are folded, not cut: the part that tells two jobs apart is often their end.
        justify: Literal["left", "right"] = "left" if column in ("overrides", "status") else "right"
        least = max(16, min(longest, LONGEST)) if column == "overrides" else None
        table.add_column(heads.get(column, f"\n{column}"), justify=justify, overflow="fold", no_wrap=column != "overrides", min_width=least)
    for row, items in zip(rows, overrides, strict=True):
        color = {"done": "green", "failed": "red"}.get(row["status"], "yellow")
        texts = {name: "" if row[name] is None else f"{row[name]:{'.0f' if name == 'seconds' else '.4f'}}" for name in NUMBERS}
        texts |= {"job": row["job"], "overrides": escape(" ".join(items)), "status": f"[{color}]{row['status']}[/]"}
        table.add_row(*(texts[column] for column in columns))
    return table
