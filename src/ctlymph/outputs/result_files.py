"""The one place that writes all files of what was found in a CT."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ctlymph.core.result import Result
from ctlymph.io.atomic import new_folder


def write_results(
    folder: str | Path, result: Result, formats: Iterable[str] | None = None, *, overwrite: bool = False
) -> dict[str, str]:
    """Write the files of one result into a folder, all of them or none.

    Args:
        folder: A new or empty folder; with ``overwrite``, one that may hold files.
        result: What to write.
        formats: Names from :data:`FORMATS`; by default all, but DICOM objects only where the CT is DICOM. Where they
            are named, a CT that is none is written as DICOM first, for them to refer to.
        overwrite: Replace files of the same names; others stay.

    Returns:
        By name, why a format could not be written; most often nothing.

    Raises:
        CtlymphError: If the folder is not empty and ``overwrite`` is not set, or it cannot be written.
        KeyError: If a format is not in :data:`FORMATS`.

    Example:
        >>> import numpy as np
        >>> import ctlymph
        >>> grid = ctlymph.Geometry((8, 8, 8), origin_mm=np.zeros(3), spacing_mm=np.ones(3))
        >>> ct = ctlymph.Volume(np.full((8, 8, 8), 40, np.int16), grid)
        >>> result = ctlymph.measure(ct, ctlymph.Masks(np.zeros((8, 8, 8), np.uint16), grid))
        >>> ctlymph.write_results("OUT", result, formats=("csv", "masks"))
        {}
        >>> import os
        >>> sorted(os.listdir("OUT"))
        ['masks.nii.gz', 'nodes.csv']
    """
    with new_folder(Path(folder), overwrite=overwrite) as staging:
        return write_files(staging, result, formats)


def write_files(folder: Path, result: Result, formats: Iterable[str] | None = None) -> dict[str, str]:
    """Write the files of one result into an existing folder, one after the other, as :func:`write_results` does.

    Raises:
        KeyError: If a format is not in :data:`FORMATS`.
    """
    names = [name for name in FORMATS if result.is_dicom or name not in OBJECTS] if formats is None else list(formats)
    names += ["seg"] * ("sr" in names and "seg" not in names)  # which it refers to
    referring = result
    if not result.is_dicom and result.nodes and OBJECTS & set(names):
        from ctlymph.io.dicom.objects import with_dicom_ct

        referring = with_dicom_ct(folder, result)
    left_out = {}
    for name in names:
        file_name, write = FORMATS[name]
        why = _obstacle(referring, name) if name in OBJECTS else ""
        if name == "masks" and result.overlapping:
            why = "nodes overlap, and a voxel holds one label"
        if why:
            left_out[name] = f"{file_name} is not written: {why}"
        else:
            write(folder / file_name, referring if name in OBJECTS else result)
    return left_out


def _obstacle(result: Result, name: str) -> str:
    from ctlymph.io.dicom.objects import obstacle  # a result of another format need not wait for pydicom

    return obstacle(result, name)


def _write_csv(path: Path, result: Result) -> None:
    from ctlymph.io.node_tables import write_nodes_csv

    write_nodes_csv(path, result.case, result.nodes)


def _write_json(path: Path, result: Result) -> None:
    from ctlymph.io.node_tables import write_nodes_json

    write_nodes_json(path, result)


def _write_slicer(path: Path, result: Result) -> None:
    from ctlymph.io.slicer import write_markups

    write_markups(path, result.nodes)


def _write_mitk(path: Path, result: Result) -> None:
    from ctlymph.io.mitk import write_point_set

    write_point_set(path, [node.point_mm for node in result.nodes])


def _write_masks(path: Path, result: Result) -> None:
    from ctlymph.io.images import write_masks

    write_masks(result.masks, path)


def _write_report(path: Path, result: Result) -> None:
    from ctlymph.outputs.nodes_page import write_report

    write_report(path, result)


def _write_object(name: str, path: Path, result: Result) -> None:
    from ctlymph.io.dicom.objects import write_object

    write_object(path, result, name)


FORMATS: dict[str, tuple[str, Callable[[Path, Result], None]]] = {
    "csv": ("nodes.csv", _write_csv),
    "json": ("nodes.json", _write_json),
    "slicer": ("nodes.mrk.json", _write_slicer),
    "mitk": ("nodes.mps", _write_mitk),
    "masks": ("masks.nii.gz", _write_masks),
    "report": ("report.html", _write_report),
    "seg": ("seg.dcm", partial(_write_object, "seg")),
    "sr": ("sr.dcm", partial(_write_object, "sr")),
    "sr_ohif": ("sr_ohif.dcm", partial(_write_object, "sr_ohif")),
}
"""Name of each output, the file it becomes, and what writes it."""

OBJECTS = frozenset(("seg", "sr", "sr_ohif"))
"""Those that are DICOM objects, and refer to the CT as DICOM."""
