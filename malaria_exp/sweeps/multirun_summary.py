"""The end of a multirun: a table of its jobs with status and headline metrics, failed ones included."""

import json
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.markup import escape
from rich.table import Table

from malaria_exp.runs.run_folder import STATUS
from malaria_exp.sweeps.multirun_record import read_record
from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.progress_bars import console

METRICS = ("auc", "accuracy", "sensitivity", "specificity")

# What the other columns of the table take on a terminal, which of them may be missing there, and the widest that an override gets.
OTHER_COLUMNS, LEFT_OUT_WHERE_NARROW, LONGEST = 72, ("accuracy", "objective"), 36
# Of more jobs the terminal shows so many, first those that did not end well; jobs.csv has all.
MOST_SHOWN = 200

_sweep_dirs: list[Path] = []


def remember(folder: Path) -> None:
    """Tells `print_summary` which folder a multirun writes to."""
    _sweep_dirs[:] = [folder]


def collect_jobs(folder: Path) -> list[dict[str, Any]]:
    """Returns a row a job, in order: job, overrides, status, metrics, objective, seconds, reason; read from each job's status.json.

    Jobs that never began are missing.
    """
    rows = []
    for path in folder.glob(f"*/{STATUS}"):
        try:
            status = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            status = {"status": "failed", "reason": f"{path} cannot be read"}
        headline = status.get("headline", {})
        rows.append(
            {
                "job": path.parent.name,
                "overrides": " ".join(status.get("overrides", [])),
                "status": status.get("status", "?"),
                **{name: headline.get(name) for name in METRICS},
                "objective": status.get("objective"),
                "seconds": status.get("seconds"),
                "reason": status.get("reason", ""),
            }
        )
    record = read_record(folder)
    known = {row["job"] for row in rows}
    for number, overrides in enumerate(record.jobs if record else []):
        if str(number) not in known:
            empty = dict.fromkeys((*METRICS, "objective", "seconds"))
            rows.append({"job": str(number), "overrides": " ".join(overrides), "status": "missing", **empty, "reason": ""})
    return sorted(rows, key=lambda row: (len(row["job"]), row["job"]))


def print_summary() -> int:
    """Prints the table of the multirun that just ended and writes it to jobs.csv; returns 1 if a job did not end well, else 0."""
    if not _sweep_dirs:
        return 0
    folder = _sweep_dirs.pop()
    rows = collect_jobs(folder)
    if not rows:
        return 0
    write_csv(folder / "jobs.csv", list(rows[0]), [list(row.values()) for row in rows])
    # Overrides that all jobs share tell nothing apart.
    shared = set.intersection(*(set(row["overrides"].split()) for row in rows)) if len(rows) > 1 else set()
    shown = rows
    if len(rows) > MOST_SHOWN:
        first = sorted(range(len(rows)), key=lambda place: rows[place]["status"] == "done")[:MOST_SHOWN]
        shown = [rows[place] for place in sorted(first)]
    title = f"{len(rows)} jobs in {folder}" + ("" if shown is rows else f"; {len(shown)} of them, all are in jobs.csv")
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    own = [[item for item in row["overrides"].split() if item not in shared] for row in shown]
    longest = max((len(item) for items in own for item in items), default=0)
    columns = ["job", "overrides", "status", *METRICS, "objective", "seconds"]
    if console().width < OTHER_COLUMNS + longest:
        columns = [column for column in columns if column not in LEFT_OUT_WHERE_NARROW]
    for column in columns:
        # Overrides are folded, not cut: the part that tells two jobs apart is often their end.
        justify: Literal["left", "right"] = "left" if column in ("overrides", "status") else "right"
        least = max(16, min(longest, LONGEST)) if column == "overrides" else None
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column != "overrides", min_width=least)
    for row, items in zip(shown, own, strict=True):
        color = {"done": "green", "failed": "red"}.get(row["status"], "yellow")
        numbers = {name: "" if row[name] is None else f"{row[name]:.4f}" for name in (*METRICS, "objective")}
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f}"
        texts = {"job": row["job"], "overrides": escape(" ".join(items)), "status": f"[{color}]{row['status']}[/]", "seconds": seconds}
        table.add_row(*((texts | numbers)[column] for column in columns))
    console().print(table)
    for row in shown:
        if row["reason"]:
            console().print(f"job {row['job']} {row['status']}: {row['reason']}", markup=False)
    unfinished = sum(row["status"] != "done" for row in rows)
    if unfinished:
        console().print(
            f"{unfinished} of {len(rows)} jobs did not end well; the same command with resume=true runs only those", markup=False
        )
    return int(any(row["status"] != "done" for row in rows))
