"""Nodes as tables: ``nodes.csv`` for people and spreadsheets, ``nodes.json`` with everything known."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import LymphNode, Point

if TYPE_CHECKING:
    from ctlymph.core.result import Result

NOTICE = "For research use, not for diagnosis"


@dataclass(frozen=True)
class NodeRow:
    """One row of ``nodes.csv``; the fields are the columns, in order.

    Points are LPS mm, ``i, j, k`` 0-based voxel indices along x, y, z of the
    CT's array. ``score`` is None where nobody scored the node, a size where nobody measured it.
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
_WHOLE = ("node", "i", "j", "k")
_PERHAPS_EMPTY = ("score", "short_axis_mm", "long_axis_mm", "volume_mm3", "mean_hu")


def row_of(case: str, node: LymphNode) -> NodeRow:
    """Give the row of one node."""
    sizes = node.sizes
    lengths = sizes.short_axis.length_mm, sizes.long_axis.length_mm
    labels = node.score, node.region, node.station
    return NodeRow(
        case, node.node, *node.point_mm, *node.index_ijk, *labels, *lengths, sizes.volume_mm3, sizes.mean_hu, node.model
    )


def write_nodes_csv(path: Path, case: str, nodes: Iterable[LymphNode]) -> None:
    """Write the nodes of one case: UTF-8, commas, a header of :data:`COLUMNS`, fixed decimals."""
    write_rows(path, (row_of(case, node) for node in nodes))


def write_rows(path: Path, rows: Iterable[NodeRow]) -> None:
    """Write rows, of any number of cases, as :func:`write_nodes_csv` does."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([_text(name, getattr(row, name)) for name in COLUMNS] for row in rows)


def read_nodes_csv(path: Path) -> list[NodeRow]:
    """Read rows back, in the order of the file; columns may stand in any order, and others are left out.

    Raises:
        CtlymphError: If the file cannot be read as text, a column is missing, or a value is not a number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise CtlymphError(f"{path} has no column {', '.join(missing)}; give a nodes.csv as ctlymph writes it")
            return [_row(path, reader.line_num, texts) for texts in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CtlymphError(f"cannot read {path}: {error}; give a nodes.csv as ctlymph writes it") from error


def write_nodes_json(path: Path, result: Result) -> None:
    """Write everything known about the nodes of one case: both pairs of axes with their ends, and how it was made."""
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
    path.write_text(text + "\n", encoding="utf-8")


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.{_DECIMALS[name]}f}" if name in _DECIMALS else str(value)


def _row(path: Path, line: int, texts: dict[str, str | None]) -> NodeRow:
    values: dict[str, Any] = {}
    for name in COLUMNS:
        text = texts[name] or ""
        try:
            values[name] = int(text) if name in _WHOLE else float(text) if name in _DECIMALS else text
        except ValueError:
            if name not in _PERHAPS_EMPTY or text:
                raise CtlymphError(
                    f"{path}, line {line}: {name} is {text!r}, which is not a number; correct the line"
                ) from None
            values[name] = None
    return NodeRow(**values)
