"""What the commands share: the terminal, its progress bar, its tables, its errors."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ctlymph.cli.remedies import in_options
from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.progress import Advance, Progress

if TYPE_CHECKING:
    from ctlymph.core.nodes import LymphNode

RESEARCH_USE = "For research use, not for diagnosis."


def progress() -> Progress:
    """Return a progress bar on a terminal, and plain lines elsewhere; both on standard error."""
    return Bars() if sys.stderr.isatty() else Lines()


class Bars:
    """A :class:`~ctlymph.core.progress.Progress` that draws bars with the time left."""

    @contextmanager
    def task(self, description: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
        """Draw one bar; it stays, full, when the task ends."""
        from rich import progress as rich
        from rich.console import Console

        counts = (rich.DownloadColumn(), rich.TransferSpeedColumn()) if in_bytes else (rich.MofNCompleteColumn(),)
        columns = (rich.TextColumn("{task.description:<28}"), rich.BarColumn(), *counts, rich.TimeElapsedColumn())
        with rich.Progress(*columns, rich.TimeRemainingColumn(), console=Console(stderr=True)) as bars:
            task = bars.add_task(description, total=total)
            yield lambda steps: bars.advance(task, steps)


class Lines:
    """A :class:`~ctlymph.core.progress.Progress` for logs: a line when a task ends, and every ten seconds before."""

    interval_s = 10.0

    @contextmanager
    def task(self, description: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
        """Print plain lines to standard error."""
        start = shown = time.monotonic()
        done = 0

        def state() -> str:
            spent = time.monotonic() - start
            if not in_bytes:
                return f"{description}: {done} of {total}"
            rate = done / max(spent, 1e-3)
            left = f", {(total - done) / rate:.0f} s left" if 0 < done < total else ""
            return f"{description}: {done / 1e6:.1f} of {total / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s{left}"

        def advance(steps: int) -> None:
            nonlocal done, shown
            done += steps
            if time.monotonic() - shown > self.interval_s:
                shown = time.monotonic()
                print(state(), file=sys.stderr, flush=True)

        yield advance
        print(f"{state()} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def reason(error: Exception) -> str:
    """Return in one line why a command, or one CT of many, failed."""
    if isinstance(error, MemoryError):
        return "not enough memory; close other programs, or use a machine with more"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}; check that it exists, is readable and that the disk has space"
    if isinstance(error, UnicodeEncodeError):
        return "a file has a name that is not UTF-8; rename it"
    return in_options(error) if isinstance(error, CtlymphError) else str(error)


def say(text: str) -> None:
    """Print a remark to standard error, where it does not mix with results."""
    print(text, file=sys.stderr, flush=True)


def show_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to standard output: with borders on a terminal that is wide enough, tab-separated elsewhere."""
    if not (sys.stdout.isatty() and _with_borders(title, header, rows)):
        print("\t".join(header))
        for row in rows:
            print("\t".join(row))


def _with_borders(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Print a table with borders, unless the terminal is so narrow that numbers would be cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As Text, since a name may hold brackets, which would be taken for markup, or control characters.
    table = Table(title=Text(shown(title)), title_justify="left")
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if all(_is_number(row[number]) for row in rows) else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    unbounded = console.options.update(max_width=10_000)
    if console.measure(table, options=unbounded).minimum > console.width:
        return False
    console.print(table)
    return True


def _is_number(text: str) -> bool:
    return not text or text.lstrip("-−").replace(",", "").replace(".", "").isdigit()


def show_nodes(title: str, nodes: Sequence[LymphNode]) -> None:
    """Print the table of nodes: their sizes, positions (LPS mm) and scores."""
    header = (
        "node",
        "region",
        "station",
        "short mm",
        "long mm",
        "volume mm³",
        "mean HU",
        "score",
        "x mm",
        "y mm",
        "z mm",
    )
    rows = []
    for node in nodes:
        sizes = node.sizes
        lengths = (f"{sizes.short_axis.length_mm:.1f}", f"{sizes.long_axis.length_mm:.1f}")
        score = "" if node.score is None else f"{node.score:.2f}"
        inside = (f"{sizes.volume_mm3:.0f}", f"{sizes.mean_hu:.0f}", score)
        rows.append(
            (str(node.node), node.station or node.region, *lengths, *inside, *(f"{mm:.1f}" for mm in node.point_mm))
        )
    show_table(title, header, rows)


def show_json(value: Any) -> None:
    """Print a value as JSON to standard output."""
    print(json.dumps(value, indent=2, allow_nan=False))
