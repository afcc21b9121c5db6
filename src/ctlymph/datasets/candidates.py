"""The computer-made candidates that the collection publishes: ``CASE_{pos,neg}CADe_{physicalPoints,grtIDs}``.

They come from Cherry 2014 in the abdomen and Liu 2014 in the mediastinum, without scores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import Point
from ctlymph.datasets.annotations import read_points
from ctlymph.datasets.archive_file import CollectionFile, whole_numbers

IDS = "grtIDs.txt"
OFF_ALL_NODES = -1
_ABDOMEN, _PATIENT = 10000, 100  # an id is 100 · patient + row, and 10000 more in the abdomen
_CASE = re.compile(r"(ABD|MED)_LYMPH_(\d{3})")


@dataclass(frozen=True)
class Candidate:
    """A place that the published candidate generator marked.

    Attributes:
        point_mm: LPS mm.
        positive: Whether it is on an annotated node.
        row: Row of that node in the annotation files, from 1; None for a negative, or where its file is absent.
    """

    point_mm: Point
    positive: bool
    row: int | None


def read_candidates(
    case: str, positives: Mapping[str, CollectionFile], negatives: Mapping[str, CollectionFile]
) -> tuple[Candidate, ...]:
    """Read the candidates of one case: those on nodes, then the others, each in the order of their file.

    Args:
        case: Its name; ids of nodes hold its number.
        positives: Files by what follows ``CASE_posCADe_``. Files of no bytes hold no candidates.
        negatives: Files by what follows ``CASE_negCADe_``.

    Raises:
        CtlymphError: If points are absent, files differ in length, or an id is not of this case.
    """
    on_nodes, ids = _points_and_ids(positives)
    candidates = [
        Candidate(point_mm, True, _row(case, number, positives)) for point_mm, number in zip(on_nodes, ids, strict=True)
    ]
    off_nodes, ids = _points_and_ids(negatives)
    if wrong := [number for number in ids if number not in (None, OFF_ALL_NODES)]:
        raise CtlymphError(f"{negatives[IDS]}: {wrong[0]} is not the id of a negative; fetch the files again")
    return (*candidates, *(Candidate(point_mm, False, None) for point_mm in off_nodes))


def _points_and_ids(files: Mapping[str, CollectionFile]) -> tuple[list[Point], list[int | None]]:
    points = read_points(files)
    if IDS not in files:
        return points, [None] * len(points)
    ids: list[int | None] = [number for (number,) in whole_numbers(files[IDS], (1,))]
    if len(ids) != len(points):
        raise CtlymphError(f"{files[IDS]} holds {len(ids)} ids for {len(points)} candidates; fetch the files again")
    return points, ids


def _row(case: str, number: int | None, files: Mapping[str, CollectionFile]) -> int | None:
    """Return the annotation row that a ground-truth id stands for."""
    if number is None:
        return None
    name = _CASE.fullmatch(case)
    if name is None:
        raise CtlymphError(f"{files[IDS]}: its ids say nothing without a case name such as ABD_LYMPH_001; remove it")
    row = number - _PATIENT * int(name[2]) - (_ABDOMEN if name[1] == "ABD" else 0)
    if not 1 <= row < _PATIENT:
        raise CtlymphError(f"{files[IDS]}: {number} is not the id of a node of {case}; fetch the files again")
    return row
