"""Nodes as 3D Slicer markups: ``nodes.mrk.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctlymph.nodes import Diameter, LymphNode, Point

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
_CENTRE, _LONG, _SHORT = (1.0, 0.85, 0.2), (0.35, 0.8, 1.0), (1.0, 0.6, 0.3)


def write_markups(path: Path, nodes: Sequence[LymphNode]) -> None:
    """Write the nodes as one markups file, schema 1.0.3, coordinates in LPS mm.

    The file holds one point list with the nodes' points, labelled by number,
    and for each node two lines, its long and its short axis. 3D Slicer reads
    all of them from the one file.
    """
    markups = [_centres(nodes)]
    for node in nodes:
        markups.append(_line(f"Node {node.node} long axis", node.sizes.long_axis, _LONG))
        markups.append(_line(f"Node {node.node} short axis", node.sizes.short_axis, _SHORT))
    path.write_text(json.dumps({"@schema": SCHEMA, "markups": markups}, indent=1) + "\n", encoding="utf-8")


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
    score = "" if node.score is None else f", score {node.score:.2f}"
    return (
        f"short axis {node.sizes.short_axis.length_mm:.1f} mm, long axis {node.sizes.long_axis.length_mm:.1f} mm{score}"
    )
