"""What stages have learned, in files: scikit-learn estimators and arrays, by skops, from which no code ever runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctlymph.errors import CtlymphError, shown
from ctlymph.io.atomic import explained, new_file

TRUSTED = ("sklearn.tree._tree.Tree",)
"""Types that skops does not trust by itself: a tree is arrays of numbers."""

LARGEST_PART = 500_000_000
"""Bytes that a part may unfold to; the largest forest here has 10 MB."""


def dump_part(path: Path, part: Mapping[str, Any]) -> None:
    """Write what a stage has learned.

    Args:
        path: A ``.skops`` file; it appears whole or not at all, and replaces what is there.
        part: Estimators, arrays, numbers and strings by name.

    Raises:
        CtlymphError: If it cannot be written.
    """
    import skops.io

    with new_file(path, overwrite=True) as staging, explained(path):
        skops.io.dump(dict(part), staging)


def load_part(path: Path) -> dict[str, Any]:
    """Read what :func:`dump_part` wrote.

    Raises:
        CtlymphError: If it is absent, no such file, too large, or holds a type that could run code.
    """
    from zipfile import BadZipFile, ZipFile

    import skops.io

    try:
        with ZipFile(path) as archive:
            size = sum(each.file_size for each in archive.infolist())
        if size > LARGEST_PART:
            raise CtlymphError(f"{path} unfolds to {size / 1e6:.0f} MB; train the model again")
        if unknown := sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED)):
            raise CtlymphError(f"{path} holds {shown(unknown[0])}, which could run code; do not trust its source")
        part = skops.io.load(path, trusted=list(TRUSTED))
    except (OSError, BadZipFile, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; train the model again") from error
    if not isinstance(part, dict):
        raise CtlymphError(f"{path} holds no part of a model; train the model again")
    return part
