"""Progress of long work on the terminal, and the one console everything is printed to."""

from collections.abc import Iterable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Item = TypeVar("Item")
# Drawing the bars takes a millisecond or two each time.
REFRESHES_PER_SECOND = 4
_bars = SimpleNamespace(hidden=False)


@cache
def console() -> Console:
    """Returns the console on standard error: standard output stays free for results that programs read."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def hide_bars(hidden: bool) -> None:
    """Shows no more bars, or shows them again; those that are there already stay."""
    _bars.hidden = hidden


def _bar(*columns: ProgressColumn) -> Progress:
    return Progress(
        *columns,
        console=console(),
        transient=True,
        refresh_per_second=REFRESHES_PER_SECOND,
        disable=not (console().is_terminal and not _bars.hidden),
    )


def progress_bar(*columns: TextColumn) -> Progress:
    """Returns a bar with count and times; it shows only on a terminal, unless bars are hidden, and vanishes when done."""
    return _bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        *columns,
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )


def short_progress_bar(*columns: TextColumn) -> Progress:
    """Returns a bar with the time left for a terminal too narrow for `progress_bar`; below 80 columns the bar itself is not drawn."""
    width = console().width
    return _bar(
        TextColumn("{task.description}"),
        *([BarColumn(bar_width=max(width - 75, 5))] if width >= 80 else []),
        *columns,
        TextColumn("left"),
        TimeRemainingColumn(),
    )


def download_bar() -> Progress:
    """Returns a bar with bytes, speed and time left; it shows only on a terminal, unless bars are hidden, and vanishes when done."""
    return _bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Yields the items while a bar named `what` counts them."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=what)
