"""The CTs of the evaluated cases, for pictures: where they lie, read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.volume import Volume
from ctlymph.datasets import case as datasets_case
from ctlymph.io import read

Scans = Mapping[str, Callable[[], Volume]]
"""How to read the CT of a case, by its name."""

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", "_0000.nii.gz", "", "/ct")


def find_scans(path: Path, cases: Sequence[str]) -> Scans:
    """Find the CTs of cases.

    Args:
        path: A folder of the collection; or a folder that holds ``CASE.nii.gz``, ``CASE_0000.nii.gz``, ``CASE.nrrd``,
            ``CASE.mha``, or the series of a case in ``CASE`` or ``CASE/ct``; or, for one case, its CT.
        cases: Their names.

    Raises:
        CtlymphError: If there is nothing at ``path``, or no CT of any case in it.
    """
    if not path.exists():
        raise CtlymphError(f"{path} does not exist; name the folder with the CTs")
    found = scans_in(path, cases)
    if not found and len(cases) == 1:
        return {cases[0]: partial(read, path)}
    if not found:
        raise CtlymphError(f"{path}: no CT of {shown(cases[0])} or another case; name them as the cases, CASE.nii.gz")
    return found


def scans_in(folder: Path, cases: Sequence[str], masks: Collection[Path] = ()) -> Scans:
    """Return the CTs of cases that lie in a folder, as :func:`find_scans` does; maybe none.

    Args:
        folder: Where to look.
        cases: Their names.
        masks: Images that are no CTs.
    """
    if not folder.is_dir():
        return {}
    found: dict[str, Callable[[], Volume]] = {}
    for case in cases:
        files = (folder / f"{case}{suffix}" for suffix in _SUFFIXES)
        file = next((each for each in files if each not in masks and (each.is_file() or any(each.glob("*.dcm")))), None)
        if file:
            found[case] = partial(read, file)
    return found if len(found) == len(cases) else _of_collection(folder, cases) | found


def _of_collection(folder: Path, cases: Sequence[str]) -> dict[str, Callable[[], Volume]]:
    try:
        there = datasets_case.Collection(folder).cases()
    except CtlymphError:  # Here a folder may well be no collection; who needs a CT says that there is none.
        return {}
    return {case.name: case.ct for case in there if case.name in cases and "ct" in case.has}
