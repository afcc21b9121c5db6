"""Progress of long tasks, reported to whoever called them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """An object that reports the progress of tasks of known length, such as a progress bar."""

    def task(self, description: str, total: int, *, in_bytes: bool = False) -> AbstractContextManager[Advance]:
        """Open a task of ``total`` steps; call the yielded function with the number of steps just done.

        Only the thread that opened the task may call that function. With ``in_bytes`` the steps are bytes,
        and the rate is reported, too.
        """
        ...


class Silent:
    """A :class:`Progress` that reports nothing: the default of every library function."""

    @contextmanager
    def task(self, description: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
        """Yield a function that does nothing."""
        yield lambda steps: None


SILENT = Silent()
