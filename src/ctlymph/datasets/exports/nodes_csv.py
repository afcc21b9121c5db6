"""The annotated nodes as one table, with the columns of ``nodes.csv``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ctlymph.datasets.case import Case
from ctlymph.datasets.exports.export_job import ExportJob
from ctlymph.io.atomic import explained, new_file
from ctlymph.io.node_tables import NodeRow, read_nodes_csv, write_rows

NEEDS = (frozenset({"annotations"}),)


def write_table(job: ExportJob) -> Path:
    """Write ``nodes.csv`` and return its path.

    ``node`` is the row in the annotation files, sizes are those of the annotation.
    What an annotation does not say stays empty: score, station, volume, HU,
    model, and in the mediastinum the long axis.

    Raises:
        CtlymphError: If the file exists and ``overwrite`` is not set, an annotation cannot be read, or the
            disk cannot be written.
    """
    path = job.folder / "nodes.csv"
    rows = [row for case in job.cases for row in _rows(case)]
    with new_file(path, overwrite=job.overwrite or _holds(path, rows)) as staging, explained(path):
        write_rows(staging, rows)
    return path


def _holds(path: Path, rows: list[NodeRow]) -> bool:
    """Return whether a file is the table of the same nodes already, which a second run may write again."""
    if not path.is_file():
        return False
    there = [(row.case, row.node) for row in read_nodes_csv(path)]
    return there == [(row.case, row.node) for row in rows]


def _rows(case: Case) -> Iterator[NodeRow]:
    geometry = None
    for node in case.nodes():
        index = node.index_ijk
        if index is None:
            geometry = geometry or case.ct().geometry
            index = geometry.nearest_voxel(node.point_mm)
        sizes = (node.short_axis_mm, node.long_axis_mm, None, None)
        yield NodeRow(case.name, node.row, *node.point_mm, *index, None, node.region or case.region, "", *sizes, "")
