"""Files of the collection: on the disk, or still within a zip archive."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown

LARGEST_TEXT = 4 << 20
"""Bytes that a text file of the collection may have; the largest one has some thousand."""

LARGEST_NUMBER = 10**6
"""Largest index of a voxel, or id of a candidate, that is plausible."""

LARGEST_MASK = 1 << 30
"""Bytes that a compressed mask may have."""


@dataclass(frozen=True)
class CollectionFile:
    """A file on the disk, or a member of a zip archive there.

    Attributes:
        path: The file, or the archive.
        member: Its name within the archive; empty for a file.
    """

    path: Path
    member: str = ""
    _content: bytes | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.path}:{shown(self.member)}" if self.member else str(self.path)

    def kept(self, limit: int) -> CollectionFile:
        """Return the same file with its content in memory: opening an archive for each of many small files is slow.

        Raises:
            CtlymphError: As :meth:`read`.
        """
        return CollectionFile(self.path, self.member, self.read(limit))

    def read(self, limit: int) -> bytes:
        """Return the content.

        Raises:
            CtlymphError: If it cannot be read, or has more than ``limit`` bytes.
        """
        if self._content is not None:
            return self._content
        with self._explained():
            if self.member:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                    content = stream.read(limit + 1)  # what is declared may be a lie: a zip bomb
            else:
                with self.path.open("rb") as stream:
                    content = stream.read(limit + 1)
        if len(content) > limit:
            raise CtlymphError(f"{self} has more than {limit} bytes, far too many for what it is; fetch it again")
        return content

    @contextmanager
    def on_disk(self, limit: int) -> Iterator[Path]:
        """Yield a path to the content: the file itself, or for a member of an archive a copy that goes with the block.

        Raises:
            CtlymphError: As :meth:`read`.
        """
        if not self.member:
            yield self.path
            return
        with TemporaryDirectory(prefix="ctlymph-") as folder:
            copy = Path(folder, PurePosixPath(self.member).name)
            copy.write_bytes(self.read(limit))
            yield copy

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise CtlymphError(f"cannot read {self}: {shown(error)}; fetch it again") from error


def whole_numbers(file: CollectionFile, columns: tuple[int, ...]) -> list[list[int]]:
    """Read a table of whole numbers, as :func:`numbers` reads others.

    Raises:
        CtlymphError: As :func:`numbers`, and where a number is not whole or beyond a million.
    """
    table = numbers(file, columns)
    if wrong := table[(table != np.rint(table)) | (np.abs(table) > LARGEST_NUMBER)].tolist():
        raise CtlymphError(f"{file} holds {wrong[0]:g} where a small whole number is due; fetch it again")
    return [[int(value) for value in row] for row in table]


def numbers(file: CollectionFile, columns: tuple[int, ...]) -> NDArray[np.float64]:
    """Read a table of numbers: one row a line, columns apart by spaces.

    Empty lines, either kind of line ending, and a file of no bytes are taken.

    Args:
        file: The table.
        columns: How many columns it may have.

    Returns:
        Array ``(rows, columns)``; ``(0, columns[0])`` where there are no rows.

    Raises:
        CtlymphError: If a row has another number of columns than the first, or one that may
            not be, or holds something other than finite numbers; it names the line.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(file.read(LARGEST_TEXT).decode("ascii", "replace").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = [np.nan]
        if not np.isfinite(row).all() or len(row) not in columns or (rows and len(row) != len(rows[0])):
            expected = " or ".join(map(str, columns))
            raise CtlymphError(
                f"{file}, line {number}: {shown(line)!r} is not {expected} numbers; fetch the file again"
            )
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(rows[0]) if rows else columns[0])
