"""Outputs that appear complete or not at all."""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

from ctlymph.core.errors import CtlymphError, Remedy, shown

_PARTIAL = ".partial-"
_IS_WINDOWS = os.name == "nt"
_NO_ROOM = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)}
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Waiting times before another attempt to replace a file that Windows reports as in use."""


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty staging folder that becomes ``path`` when the block ends without an error.

    After an error nothing of the block remains.

    >>> with new_folder(Path("out")) as staging:
    ...     _ = (staging / "a.txt").write_text("complete")
    >>> Path("out/a.txt").read_text()
    'complete'

    Args:
        path: The folder to make. It may exist if it is empty.
        overwrite: Whether it may hold files. The new files then take their places one by one, each complete; files of
            other names stay.

    Raises:
        CtlymphError: If ``path`` is a file, holds files and ``overwrite`` is not set, or cannot be written.
    """
    check_new_folder(path, overwrite=overwrite)
    with _staging(path) as staging:
        with _room_for(path):
            yield staging
        _check_empty(path, overwrite)  # again: another process may have been quicker
        with explained(path):
            _merge(staging, path)


@contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a staging path, of the same name, that becomes the file ``path`` when the block ends without an error.

    Other files that the block writes into the folder of the staging path (the ``.img`` of a ``.hdr``) are moved with
    it, and before it.

    >>> with new_file(Path("a.txt")) as staging:
    ...     _ = staging.write_text("complete")
    >>> Path("a.txt").read_text()
    'complete'

    Args:
        path: The file to write; its folder is made if it is absent.
        overwrite: Whether it may exist.

    Raises:
        CtlymphError: If ``path`` is a folder, it or a file that is moved with it exists and ``overwrite`` is not set,
            or it cannot be written.
    """
    if path.is_dir():
        raise CtlymphError(f"{path} is a folder; give the name of a file")
    _check_free(path, overwrite)
    with _staging(path) as staging:
        with _room_for(path):
            yield staging / path.name
        sources = sorted(staging.iterdir(), key=lambda source: source.name == path.name)
        for source in sources:
            _check_free(path.with_name(source.name), overwrite)
        with explained(path):
            for source in sources:
                _replace(source, path.with_name(source.name))


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
    with _staging(path):  # the only reliable test is to write there
        pass


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an error of the operating system while ``path`` is written into a :class:`CtlymphError` that names it."""
    try:
        yield
    except OSError as error:
        # pydicom wraps the system's error in a text of many lines.
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


@contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """Yield a new folder next to ``path``, or in it if it is a folder: its parent may be read-only, or another disk.

    It is removed when the block ends.
    """
    parent = path.absolute() if path.is_dir() else path.absolute().parent
    folder = parent / f".{path.name[:50]}{_PARTIAL}{uuid4().hex[:12]}"
    # A signal may strike just before the block begins: then the folder is removed with the process. Folders of tempfile
    # would not do: only their maker may read them, on Windows even once they are renamed.
    remove = partial(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(remove)
    try:
        with explained(path):
            folder.mkdir(parents=True)
        yield folder
    finally:
        remove()
        atexit.unregister(remove)


def _is_staging(path: Path) -> bool:
    """Return whether ``path`` is the staging folder of a process that is still at work, or was killed."""
    return path.name.startswith(".") and _PARTIAL in path.name


def _merge(staging: Path, target: Path) -> None:
    if not target.exists():
        _replace(staging, target)
        return
    for source in sorted(staging.rglob("*")):
        place = target / source.relative_to(staging)
        if source.is_dir():
            place.mkdir(exist_ok=True)
        else:
            _replace(source, place)


def _replace(source: Path, target: Path) -> None:
    """Rename a file or folder; on Windows again after a pause while another program, such as a scanner, has it open."""
    for pause_s in _PAUSES_S if _IS_WINDOWS else ():
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    source.replace(target)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Turn the error of a full disk, which may come from any write and name no file, into a :class:`CtlymphError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise CtlymphError(f"no room to write {path}: {error.strerror}; free space, or choose another disk") from error
