"""Outputs that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctlymph.core.errors import CtlymphError, Remedy, shown

_PARTIAL = ".partial-"


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty staging folder that becomes ``path`` when the block ends without an error.

    An existing empty ``path`` is used. With ``overwrite``, the new files take
    their places in an existing folder one by one, each complete; files of other
    names that lie there stay. After an error nothing of the block remains.

    Raises:
        CtlymphError: If ``path`` is a file, holds files and ``overwrite`` is
            not set, or cannot be written.
    """
    check_new_folder(path, overwrite=overwrite)
    with _staging(path) as staging:
        with _room_for(path):
            yield Path(staging)
        _check_empty(path, overwrite)  # again: another process may have been quicker
        with explained(path):
            _merge(Path(staging), path)


@contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a staging path, of the same name, that becomes the file ``path`` when the block ends without an error.

    Files that the block writes beside it (the ``.img`` of a ``.hdr``) come along, and before it.

    Raises:
        CtlymphError: If ``path`` is a folder, it or a file that comes along exists and
            ``overwrite`` is not set, or cannot be written.
    """
    if path.is_dir():
        raise CtlymphError(f"{path} is a folder; give the name of a file")
    _check_free(path, overwrite)
    with _staging(path) as staging:
        with _room_for(path):
            yield Path(staging, path.name)
        sources = sorted(Path(staging).iterdir(), key=lambda source: source.name == path.name)
        for source in sources:
            _check_free(path.with_name(source.name), overwrite)
        with explained(path):
            for source in sources:
                source.replace(path.with_name(source.name))


def check_new_folder(path: Path, *, overwrite: bool) -> None:
    """Refuse early, before the work, an output folder that could not be written in the end.

    Raises:
        CtlymphError: As :func:`new_folder`.
    """
    if path.exists() and not path.is_dir():
        raise CtlymphError(f"{path} is a file; give the name of a folder for the output")
    if path.is_dir():
        _check_empty(path, overwrite)
        if not os.access(path, os.W_OK | os.X_OK):
            raise CtlymphError(f"cannot write to {path}: permission denied; choose another folder")
    with _staging(path):  # to make it is the only honest test
        pass


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system objects to while ``path`` is written into a :class:`CtlymphError`."""
    try:
        yield
    except OSError as error:
        # pydicom wraps what the system says in a text of many lines.
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise CtlymphError(f"cannot write {path}: {cause.strerror or shown(cause)}; choose another place") from error


def _check_empty(path: Path, overwrite: bool) -> None:
    with explained(path):
        taken = path.is_dir() and any(not _is_staging(each) for each in path.iterdir())
    if taken and not overwrite:
        raise CtlymphError(f"{path} holds files already", Remedy.OVERWRITE)


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise CtlymphError(f"{path} exists", Remedy.OVERWRITE)


def _staging(path: Path) -> tempfile.TemporaryDirectory[str]:
    """Make a folder beside ``path``, or in it if it is a folder: its parent may be read-only, or another disk.

    It goes when its block ends, or else with the process: a signal may strike just before the block begins.
    """
    parent = path.absolute() if path.is_dir() else path.absolute().parent
    with explained(path):
        parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name[:50]}{_PARTIAL}"
        return tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)


def _is_staging(path: Path) -> bool:
    """Tell whether ``path`` is what a process that was killed, or is still at work, has left."""
    return path.name.startswith(".") and _PARTIAL in path.name


def _merge(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.chmod(0o777 & ~_umask())
        staging.rename(target)
        return
    for source in sorted(staging.rglob("*")):
        place = target / source.relative_to(staging)
        if source.is_dir():
            place.mkdir(exist_ok=True)
        else:
            source.replace(place)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Explain a full disk, which strikes in the middle of any writing, often without naming a file."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise CtlymphError(f"no room to write {path}: {error.strerror}; free space, or choose another disk") from error
