"""3D Slicer markups (``.mrk.json``): nodes written, points of any markups file read."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.nodes import Diameter, LymphNode, Point

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
_TO_LPS = {"LPS": (1, 1, 1), "1": (1, 1, 1), "RAS": (-1, -1, 1), "0": (-1, -1, 1)}
_LARGEST = sys.float_info.max
_SCORE = re.compile(r"(?:^|, )score (\S+)$")  # the end of a description by write_markups
_CENTRE, _LONG, _SHORT = (1.0, 0.85, 0.2), (0.35, 0.8, 1.0), (1.0, 0.6, 0.3)


@dataclass(frozen=True)
class MarkedPoint:
    """A control point of a point list.

    Attributes:
        point_mm: x, y, z in LPS mm.
        label: Its label; empty if it has none.
        score: The score that :func:`write_markups` wrote into its description; None if there is none.
    """

    point_mm: Point
    label: str
    score: float | None


def write_markups(path: Path, nodes: Sequence[LymphNode]) -> None:
    """Write the nodes as one markups file, schema 1.0.3, coordinates in LPS mm.

    The file contains one point list with the nodes' points, labelled by number,
    and two lines for each node, its long and its short axis. 3D Slicer reads all
    of them from the one file.
    """
    markups = [_centres(nodes)]
    for node in nodes:
        markups.append(_line(f"Node {node.node} long axis", node.sizes.long_axis, _LONG))
        markups.append(_line(f"Node {node.node} short axis", node.sizes.short_axis, _SHORT))
    text = json.dumps({"@schema": SCHEMA, "markups": markups}, indent=1)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def read_markups(path: Path) -> list[MarkedPoint]:
    """Read the points of all point lists (type ``Fiducial``) of a markups file; lines and other shapes are ignored.

    ``coordinateSystem`` is LPS or RAS, by name or by 3D Slicer's number (RAS 0, LPS 1). Points without a position
    (``positionStatus`` other than ``defined``) are ignored.

    Returns:
        The points in LPS mm, in the order of the file.

    Raises:
        CtlymphError: If the file cannot be read, has no point list, a list's coordinate system is absent or another
            one, its unit is not mm, or a point is not three finite numbers.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CtlymphError(
            f"cannot read {path}: {shown(error)}; give a markups file of 3D Slicer (.mrk.json)"
        ) from error
    markups = document.get("markups") if isinstance(document, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise CtlymphError(f"{path} contains no markups; give a markups file of 3D Slicer (.mrk.json)")
    lists = [markup for markup in markups if markup.get("type") == "Fiducial"]
    if not lists:
        kinds = ", ".join(sorted({str(markup.get("type")) for markup in markups})) or "nothing"
        raise CtlymphError(f"{path} contains {shown(kinds)} and no point list; save a list of type Fiducial")
    return [point for markup in lists for point in _points(path, markup)]


def _points(path: Path, markup: dict[str, Any]) -> Iterator[MarkedPoint]:
    system = markup.get("coordinateSystem")
    signs = _TO_LPS.get(str(system).upper())
    if signs is None:
        stated = "is not stated" if system is None else f"is {shown(system)}"
        raise CtlymphError(f"{path}: the coordinateSystem of a point list {stated}; state LPS or RAS")
    unit = markup.get("coordinateUnits", "mm")
    if unit not in ("mm", ["mm"] * 3):
        raise CtlymphError(f"{path}: the coordinateUnits of a point list are {shown(unit)}; save it in mm")
    points = markup.get("controlPoints", [])
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise CtlymphError(f"{path}: the controlPoints of a point list are no list of points; save it again")
    for number, point in enumerate(points):
        if point.get("positionStatus", "defined") == "defined":
            x, y, z = (value * sign for value, sign in zip(_position(path, number, point), signs, strict=True))
            yield MarkedPoint((x, y, z), str(point.get("label", "")), _score(path, number, point))


def _position(path: Path, number: int, point: dict[str, Any]) -> list[float]:
    position = point.get("position")
    values = position if isinstance(position, list) else []
    if len(values) != 3 or not all(type(value) in (int, float) and abs(value) <= _LARGEST for value in values):
        raise CtlymphError(
            f"{path}: the position of point {number} is {shown(position)}, not three finite numbers; correct it"
        )
    return [float(value) for value in values]


def _score(path: Path, number: int, point: dict[str, Any]) -> float | None:
    found = _SCORE.search(str(point.get("description", "")))
    if found is None:
        return None
    try:
        score = float(found[1])
    except ValueError:
        score = np.nan
    if not np.isfinite(score):
        raise CtlymphError(
            f"{path}: the score of point {number} is {shown(found[1])!r}, not a finite number; correct it"
        )
    return score


def _centres(nodes: Sequence[LymphNode]) -> dict[str, Any]:
    points = [_control_point(str(node.node), str(node.node), node.point_mm, _description(node)) for node in nodes]
    return _markup("Fiducial", "Lymph nodes", points, _CENTRE, pointLabelsVisibility=True)


def _line(name: str, line: Diameter, colour: tuple[float, float, float]) -> dict[str, Any]:
    points = [_control_point(str(n), f"{name}-{n}", end) for n, end in enumerate((line.start_mm, line.end_mm), 1)]
    markup = _markup("Line", name, points, colour, propertiesLabelVisibility=False)
    length = {"name": "length", "enabled": True, "value": line.length_mm, "units": "mm", "printFormat": "%-#4.4g%s"}
    return markup | {"measurements": [length]}


def _markup(
    kind: str, name: str, points: list[dict[str, Any]], colour: tuple[float, float, float], **display: bool
) -> dict[str, Any]:
    return {
        "type": kind,
        "name": name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "labelFormat": "%N-%d",
        "controlPoints": points,
        "display": {"visibility": True, "color": list(colour), "selectedColor": list(colour)} | display,
    }


def _control_point(identifier: str, label: str, point_mm: Point, description: str = "") -> dict[str, Any]:
    return {
        "id": identifier,
        "label": label,
        "description": description,
        "position": list(point_mm),
        "selected": True,
        "visibility": True,
        "positionStatus": "defined",
    }


def _description(node: LymphNode) -> str:
    score = "" if node.score is None else f", score {node.score:.4g}"
    return (
        f"short axis {node.sizes.short_axis.length_mm:.1f} mm, long axis {node.sizes.long_axis.length_mm:.1f} mm{score}"
    )
