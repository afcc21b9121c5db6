"""The annotated nodes as one table, with the columns of ``nodes.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ctlymph.collection.case import Case
from ctlymph.collection.exports.written import Job
from ctlymph.io.atomic import explained, new_file

NEEDS = (frozenset({"annotations"}),)


def write_table(job: Job) -> Path:
    """Write ``nodes.csv`` and give its path.

    ``node`` is the row in the annotation files, sizes are those of the annotation.
    What an annotation does not say stays empty: score, station, volume, HU,
    model, and in the mediastinum the long axis.

    Raises:
        CtlymphError: If the file exists and ``overwrite`` is not set, an annotation cannot be read, or the
            disk cannot be written.
    """
    from ctlymph.io.tables import COLUMNS

    path = job.folder / "nodes.csv"
    rows = [row for case in job.cases for row in _rows(case)]
    with (
        new_file(path, overwrite=job.overwrite) as staging,
        explained(path),
        staging.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _rows(case: Case) -> Iterator[dict[str, str]]:
    geometry = None
    for node in case.nodes():
        index = node.index_ijk
        if index is None:
            geometry = geometry or case.ct().geometry
            index = geometry.nearest_voxel(node.point_mm)
        lengths = {"short_axis_mm": node.short_axis_mm, "long_axis_mm": node.long_axis_mm}
        yield {
            "case": case.name,
            "node": str(node.row),
            **{name: f"{mm:.3f}" for name, mm in zip(("x_mm", "y_mm", "z_mm"), node.point_mm, strict=True)},
            **{name: str(n) for name, n in zip("ijk", index, strict=True)},
            "region": case.region,
            **{name: "" if mm is None else f"{mm:.2f}" for name, mm in lengths.items()},
        }
