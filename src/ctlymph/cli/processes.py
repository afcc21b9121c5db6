"""Work in several processes; and how a command stops without a traceback or partial files."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Literal, TypeVar

from ctlymph.core.errors import CtlymphError

T = TypeVar("T")


THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that tell PyTorch, numba and our engine for OpenVINO how many threads they may use."""


class Stopped(BaseException):
    """A person or a batch system has asked the command to stop."""


_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
"""Windows has no SIGHUP, and SIGBREAK for Ctrl-Break."""

StartMethod = Literal["spawn", "forkserver", "fork"]


def usable_cores() -> int:
    """Return how many cores this process may use: those of its affinity where the system has it, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Stop:
    """A signal handler that raises :class:`Stopped`, but not again within two seconds.

    Meanwhile nothing disturbs the removal of partial files. Later it may be needed
    again: an exception raised by a handler can get lost in other code.
    """

    pause_s = 2.0

    def __init__(self) -> None:
        self.last = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() - self.last > self.pause_s:
            self.last = time.monotonic()
            raise Stopped


@contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C, a batch system's SIGTERM and a closed terminal raise :class:`Stopped`.

    Signals that the caller ignores (``nohup``) stay ignored.
    """
    stop = _Stop()
    former = {number: signal.getsignal(number) for number in _STOPPING}
    for number, handler in former.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        if stop.last < 0:  # else the process is about to end, which no further signal may disturb
            for number, handler in former.items():
                signal.signal(number, handler)


def in_processes(
    jobs: int, function: Callable[..., T], work: Sequence[tuple[Any, ...]], start: StartMethod = "spawn"
) -> Iterator[T]:
    """Call ``function`` with the arguments in each item of ``work``, ``jobs`` at a time; yield results as they come.

    Args:
        jobs: How many processes.
        function: What a process can import by its name.
        work: The arguments of each call.
        start: How processes start. ``spawn`` is there on every system, and no thread of a library is forked.

    Raises:
        CtlymphError: If a process dies.
    """
    with workers(min(jobs, len(work)), start) as do:
        yield from do(function, work)


@contextmanager
def workers(jobs: int, start: StartMethod = "spawn") -> Iterator[Callable[..., Iterator[Any]]]:
    """Keep processes for several rounds of work, each as :func:`in_processes` does it; they start when needed.

    Raises:
        CtlymphError: If a process dies.
    """
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import active_children, get_context

    threads = max(1, usable_cores() // jobs)
    with ProcessPoolExecutor(jobs, mp_context=get_context(start), initializer=_begin, initargs=(threads,)) as pool:
        try:
            yield partial(_work, pool)
        except BrokenProcessPool as error:
            raise CtlymphError(
                "a process died, perhaps because memory ran out; start again with fewer --jobs: what is done is kept"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while children := active_children():
                if sys.platform == "win32":  # there terminate() kills, and Ctrl-C has reached the children itself
                    children[0].join(_Stop.pause_s)
                for child in children:
                    child.terminate()
                children[0].join(_Stop.pause_s + 0.5)
            raise


def _work(pool: Executor, function: Callable[..., T], work: Sequence[tuple[Any, ...]]) -> Iterator[T]:
    from concurrent.futures import as_completed

    with _interrupt_held():  # Processes start here and inherit this: Ctrl-C must not strike while they load.
        futures = [pool.submit(_call, function, arguments) for arguments in work]
    for future in as_completed(futures):
        yield future.result()


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Delay Ctrl-C, for this process and those that it starts, until the block ends (not on Windows)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _begin(threads: int) -> None:
    """Prepare a process: react to Ctrl-C only at work, silence warnings, and end when the command is killed.

    Networks use its share of the cores: processes that each used all would wait for one another.
    """
    from multiprocessing import parent_process
    from threading import Thread

    for name in THREADS:
        os.environ.setdefault(name, str(threads))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    quiet()
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    stop = _Stop()
    try:
        try:
            # SIGTERM is how in_processes, and a pool of which one process died, end the others.
            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            return function(*arguments)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except Stopped:
        pass
    # Only here is everything released that the exception held, such as staging folders. No next call may begin.
    os._exit(130)


def quiet() -> None:
    """Keep Python's warnings, which are for programmers, from the terminal, unless ``python -W`` asks for them."""
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
