"""The nodes that radiologists marked: ``CASE_lymphnodes_{indices,physicalPoints,sizes}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import Point
from ctlymph.datasets.archive_file import LARGEST_TEXT, CollectionFile, numbers, whole_numbers
from ctlymph.io.mitk import parse_point_set

POINTS, POINT_SET, INDICES, SIZES = "physicalPoints.txt", "physicalPoints.mps", "indices.txt", "sizes.txt"


@dataclass(frozen=True)
class AnnotatedNode:
    """A node that a radiologist marked and measured.

    Attributes:
        row: Its row in the annotation files, from 1; candidates refer to it.
        point_mm: Its centre, LPS mm.
        index_ijk: The voxel of the centre, 0-based along x, y, z; None where its file is absent.
        short_axis_mm: Short axis, mm; None where not known.
        long_axis_mm: Long axis, mm; None where not known, as everywhere in the mediastinum.
        region: Where it is, if it was annotated in one of several regions; empty where not said.
    """

    row: int
    point_mm: Point
    index_ijk: tuple[int, int, int] | None
    short_axis_mm: float | None
    long_axis_mm: float | None
    region: str = ""


def read_annotations(files: Mapping[str, CollectionFile]) -> tuple[AnnotatedNode, ...]:
    """Read the nodes of one case.

    A size of 0 means that it is not known. Where the long axis was written
    first, the two are put right.

    Args:
        files: The case's files by what follows ``CASE_lymphnodes_``: the points as
            ``physicalPoints.txt`` or ``physicalPoints.mps``, and ``indices.txt`` and ``sizes.txt`` where they exist.

    Raises:
        CtlymphError: If the points are absent, a file cannot be read, or the files differ in the number of nodes.
    """
    points = read_points(files)
    indices: list[tuple[int, int, int] | None] = [None] * len(points)
    if INDICES in files:
        indices = [(i, j, k) for i, j, k in whole_numbers(files[INDICES], (3,))]
    sizes = numbers(files[SIZES], (1, 2)).tolist() if SIZES in files else [[]] * len(points)
    if not len(points) == len(indices) == len(sizes):
        lengths = f"{len(points)} points, {len(indices)} indices and {len(sizes)} sizes"
        raise CtlymphError(f"{next(iter(files.values()))} and the files beside it hold {lengths}; fetch them again")
    nodes = []
    for row, (point_mm, index, size) in enumerate(zip(points, indices, sizes, strict=True), start=1):
        known = sorted(length for length in size if length > 0)
        short = known[0] if len(known) == len(size) and known else None
        long = known[1] if len(known) == 2 else None
        nodes.append(AnnotatedNode(row, point_mm, index, short, long))
    return tuple(nodes)


def read_points(files: Mapping[str, CollectionFile]) -> list[Point]:
    """Read points from a case's ``physicalPoints.txt``, or else from its ``.mps``; LPS mm.

    Raises:
        CtlymphError: If there is neither, or it cannot be read.
    """
    if POINTS in files:
        return [(x, y, z) for x, y, z in numbers(files[POINTS], (3,)).tolist()]
    if POINT_SET in files:
        return parse_point_set(files[POINT_SET].read(LARGEST_TEXT), str(files[POINT_SET]))
    other = next(iter(files.values()), "the case")
    raise CtlymphError(f"{other} comes without its points (…{POINTS}); fetch the files again")
