"""Tables of nodes: ``nodes.csv`` for people and spreadsheets, ``nodes.json`` with all details."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctlymph.core.nodes import LymphNode, Point
from ctlymph.core.result import Result
from ctlymph.io.csv_table import CsvRow, cells, read_rows, write_csv

NOTICE = "For research use, not for diagnosis"


@dataclass(frozen=True)
class NodeRow:
    """One row of ``nodes.csv``; the fields are the columns, in order.

    Points are LPS mm; ``i, j, k`` are 0-based voxel indices along x, y, z of the
    CT's array. ``score`` and sizes are None if they are not known.
    """

    case: str
    node: int
    x_mm: float
    y_mm: float
    z_mm: float
    i: int
    j: int
    k: int
    score: float | None
    region: str
    station: str
    short_axis_mm: float | None
    long_axis_mm: float | None
    volume_mm3: float | None
    mean_hu: float | None
    model: str

    @property
    def point_mm(self) -> Point:
        """x, y, z in LPS mm."""
        return self.x_mm, self.y_mm, self.z_mm


COLUMNS = tuple(field.name for field in fields(NodeRow))
_DECIMALS = {"x_mm": 3, "y_mm": 3, "z_mm": 3, "score": 4}
_DECIMALS |= {"short_axis_mm": 2, "long_axis_mm": 2, "volume_mm3": 1, "mean_hu": 1}
_INTEGERS = ("node", "i", "j", "k")
_OPTIONAL = ("score", "short_axis_mm", "long_axis_mm", "volume_mm3", "mean_hu")


def row_of(case: str, node: LymphNode) -> NodeRow:
    """Return the row of one node."""
    sizes = node.sizes
    lengths = sizes.short_axis.length_mm, sizes.long_axis.length_mm
    labels = node.score, node.region, node.station
    return NodeRow(
        case, node.node, *node.point_mm, *node.index_ijk, *labels, *lengths, sizes.volume_mm3, sizes.mean_hu, node.model
    )


def write_nodes_csv(path: Path, case: str, nodes: Iterable[LymphNode]) -> None:
    """Write the nodes of one case as CSV: a header of :data:`COLUMNS`, and a fixed number of decimals."""
    write_rows(path, (row_of(case, node) for node in nodes))


def write_rows(path: Path, rows: Iterable[NodeRow]) -> None:
    """Write rows of any number of cases as CSV, as :func:`write_nodes_csv` does."""
    write_csv(path, COLUMNS, map(texts_of, rows))


def texts_of(row: NodeRow) -> list[str]:
    """Return the values of a row as they are written to ``nodes.csv``, in the order of :data:`COLUMNS`."""
    return cells(row, COLUMNS, _DECIMALS)


def read_nodes_csv(path: Path) -> list[NodeRow]:
    """Read rows back, in the order of the file; columns may stand in any order, and others are ignored.

    Raises:
        CtlymphError: If the file cannot be read as text, a column is missing, or a value is not a number; the line is
            named.
    """
    return [_node_row(row) for row in read_rows(path, COLUMNS, "give a nodes.csv as ctlymph writes it")]


def write_nodes_json(path: Path, result: Result) -> None:
    """Write all details of the nodes of one case: both pairs of axes with their ends, and how they were found."""
    geometry = result.volume.geometry
    document = {
        "notice": NOTICE,
        "ctlymph_version": version("ctlymph"),
        "case": result.case,
        "ct": str(Path(str(result.volume.attributes.get("path", ""))).absolute()),
        "series": result.volume.attributes.get("SeriesInstanceUID", ""),
        "model": result.model,
        "trained_on": result.trained_on,
        "regions": list(result.regions),
        "thresholds": dict(result.thresholds),
        "notes": list(result.notes),
        "seconds": dict(result.seconds),
        "coordinates": "points are x, y, z in LPS mm; index_ijk are 0-based voxel indices along x, y, z",
        "geometry": {
            "size_ijk": list(geometry.shape_ijk),
            "spacing_mm": geometry.spacing_mm.tolist(),
            "origin_mm": geometry.origin_mm.tolist(),
            "direction": geometry.direction.tolist(),
        },
        "nodes": [asdict(node) for node in result.nodes],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def _node_row(row: CsvRow) -> NodeRow:
    values: dict[str, Any] = {name: row[name] for name in COLUMNS}
    values |= {name: row.integer(name) for name in _INTEGERS}
    values |= {name: row.optional_number(name) if name in _OPTIONAL else row.number(name) for name in _DECIMALS}
    return NodeRow(**values)
