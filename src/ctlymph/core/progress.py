"""How long work tells its caller where it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """Something that shows the advance of a task of known length."""

    def task(self, description: str, total: int, *, in_bytes: bool = False) -> AbstractContextManager[Advance]:
        """Open a task of ``total`` steps; call the yielded function with the steps just done.

        Only the thread that opened the task may call it. With ``in_bytes`` the steps are bytes,
        and the rate is shown.
        """
        ...


class Silent:
    """A :class:`Progress` that shows nothing: the default of every library function."""

    @contextmanager
    def task(self, description: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
        """Yield a function that does nothing."""
        yield lambda steps: None


SILENT = Silent()
