"""The files of a patient followed over time: a table, everything as JSON, the roles of the targets, one page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

from ctlymph.followup.course import FollowUp, NodeRef
from ctlymph.followup.lineages import find_lineages, kind_of
from ctlymph.followup.roles import write_roles
from ctlymph.io.csv_table import cells, write_csv
from ctlymph.io.node_tables import NOTICE


@dataclass(frozen=True)
class ResponseRow:
    """One row of ``response.csv``: a node at a visit; the fields are the columns, in order.

    ``lineage`` is the number of the node's lineage, which all nodes share that came from one another; ``parents`` are
    written ``VISIT:NODE``; ``role`` is that of the node it came from, or ``new``; ``adds_mm`` is what the node adds to
    the sum, None where it does not count. Points are LPS mm.
    """

    visit: int
    name: str
    day: str
    node: int
    lineage: int
    parents: str
    role: str
    short_axis_mm: float
    long_axis_mm: float
    volume_mm3: float
    x_mm: float
    y_mm: float
    z_mm: float
    station: str
    adds_mm: float | None


COLUMNS = tuple(field.name for field in fields(ResponseRow))
_DECIMALS = {"short_axis_mm": 2, "long_axis_mm": 2, "volume_mm3": 1, "x_mm": 3, "y_mm": 3, "z_mm": 3, "adds_mm": 2}


def write_response(folder: Path, followed: FollowUp) -> list[Path]:
    """Write all files into an existing folder, and return their paths.

    Args:
        folder: A staging folder of :func:`ctlymph.io.atomic.new_folder`, if all files should appear at once.
        followed: What to write.
    """
    from ctlymph.outputs.response_page import write_page

    paths = [folder / name for name in ("response.html", "response.csv", "response.json", "targets.csv")]
    page, table, document, roles = paths
    write_page(page, followed)
    write_table(table, followed)
    write_document(document, followed)
    write_roles(roles, followed.course.visits[0].nodes, followed.response.roles)
    return paths


def rows(followed: FollowUp) -> list[ResponseRow]:
    """Return the rows of ``response.csv``: visit by visit, nodes by their numbers."""
    course, response = followed.course, followed.response
    lineage_of = {ref: lineage.number for lineage in find_lineages(course, response) for ref in lineage.refs}
    found = []
    for visit in course.visits:
        adds = _adds_mm(followed, visit.number)
        for node in sorted(visit.nodes, key=lambda node: node.node):
            ref, sizes = (visit.number, node.node), node.sizes
            found.append(
                ResponseRow(
                    visit=visit.number,
                    name=visit.name,
                    day=visit.day.isoformat() if visit.day else "",
                    node=node.node,
                    lineage=lineage_of[ref],
                    parents=" ".join(f"{number}:{parent}" for number, parent in course.parents.get(ref, ())),
                    role=kind_of(course, response, ref),
                    short_axis_mm=sizes.short_axis.length_mm,
                    long_axis_mm=sizes.long_axis.length_mm,
                    volume_mm3=sizes.volume_mm3,
                    x_mm=node.point_mm[0],
                    y_mm=node.point_mm[1],
                    z_mm=node.point_mm[2],
                    station=node.station,
                    adds_mm=adds.get(ref),
                )
            )
    return found


def write_table(path: Path, followed: FollowUp) -> None:
    """Write ``response.csv``: UTF-8, commas, a header of :data:`COLUMNS`, fixed decimals."""
    write_csv(path, COLUMNS, (cells(row, COLUMNS, _DECIMALS) for row in rows(followed)))


def write_document(path: Path, followed: FollowUp) -> None:
    """Write ``response.json``: everything known about visits, nodes, their descent, and every time point."""
    course, response = followed.course, followed.response
    lineages = find_lineages(course, response)
    document = {
        "notice": NOTICE,
        "ctlymph_version": version("ctlymph"),
        "patient": followed.patient,
        "model": followed.model,
        "trained_on": followed.trained_on,
        "notes": list(followed.notes),
        "criteria": "RECIST 1.1, short axes of lymph nodes",
        "coordinates": "points are x, y, z in LPS mm; index_ijk are 0-based voxel indices along x, y, z",
        "roles": {str(number): role.value for number, role in response.roles.items()},
        "visits": [
            {
                "visit": visit.number,
                "name": visit.name,
                "day": visit.day.isoformat() if visit.day else None,
                "assessment": asdict(response.assessments[visit.number]),
                "nodes": [
                    {"parents": [list(ref) for ref in course.parents.get((visit.number, node.node), ())]} | asdict(node)
                    for node in visit.nodes
                ],
            }
            for visit in course.visits
        ],
        "lineages": [
            {"lineage": each.number, "title": each.title, "kind": each.kind, "nodes": [list(ref) for ref in each.refs]}
            for each in lineages
        ],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _adds_mm(followed: FollowUp, visit: int) -> dict[NodeRef, float]:
    """Share what each target adds among the nodes that make it up, by their short axes."""
    assessment, shares = followed.response.assessments[visit], {}
    for target, numbers in assessment.counted.items():
        short_mm = {number: followed.course.node((visit, number)).sizes.short_axis.length_mm for number in numbers}
        for number, length_mm in short_mm.items():
            shares[visit, number] = assessment.adds_mm[target] * length_mm / sum(short_mm.values())
    return shares
