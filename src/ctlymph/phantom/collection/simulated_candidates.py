"""Candidates as a detector would return them: on annotated nodes, and on structures that look like nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.nodes import Point
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM, Region
from ctlymph.core.volume import Volume
from ctlymph.detectors.blobs import BlobSettings, find_blobs
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.nodes.patient_anatomy import Anatomy
from ctlymph.phantom.nodes.synthetic_nodes import TrueNode

LOOK_ALIKES = ("vessel", "bowel", "organ", "muscle", "airway", "twigs")
"""Kinds of parts on which negatives lie, likeliest first."""

_LIKELY = np.array([0.4, 0.3, 0.12, 0.1, 0.04, 0.04])
_MIN_DISTANCE_MM, _CLEAR_MM, _DEEPEST_MM = 8.0, 15.0, 7.0
_SOFT_HU = (-40, 320)
_BORDER_MM, _OVERLAP_MM = 225.0, 30.0
"""Height of the diaphragm's dome in the standard patient, and how far either region extends beyond."""

_HALF_WIDTH_MM = {MEDIASTINUM: 75.0, ABDOMEN: 110.0}
"""How far from the midline candidates lie in the standard patient: not in the walls."""


@dataclass(frozen=True)
class SimulatedCandidates:
    """The candidates of one case.

    Attributes:
        positives: Points on nodes, LPS mm, and the index of the node among those that were given.
        negatives: Points off all of these nodes, LPS mm.
    """

    positives: tuple[tuple[Point, int], ...]
    negatives: tuple[Point, ...]


def sample_candidates(
    anatomy: Anatomy, volume: Volume, region: str, nodes: list[TrueNode], rng: np.random.Generator
) -> SimulatedCandidates:
    """Sample the candidates of a case: one to three on each node that was found, and 35–40 or so on look-alikes.

    In the abdomen every node is found, in the mediastinum three of four, as in the public candidates.

    Args:
        anatomy: The patient.
        volume: Its CT; negatives lie in soft tissue.
        region: The region that was annotated.
        nodes: The annotated nodes.
        rng: Where chance comes from.
    """
    positives = _positives(nodes, region, rng)
    count = _count_of_negatives(region, rng)
    return SimulatedCandidates(positives, tuple(_negatives(anatomy, volume, region, nodes, count, rng)))


def candidates_in_ct(
    volume: Volume, region: Region, nodes: list[TrueNode], rng: np.random.Generator
) -> SimulatedCandidates:
    """Sample the candidates of a real CT with inserted nodes; negatives are detections of :func:`find_blobs`.

    Args:
        volume: The CT with the nodes.
        region: That in which they were annotated.
        nodes: The annotated nodes.
        rng: Where chance comes from.
    """
    marks = find_blobs(volume, region, BlobSettings(max_marks=300))
    centres = np.array([node.centre_mm for node in nodes]).reshape(-1, 3)
    clear = [mark for mark in marks if (np.linalg.norm(centres - mark.point_mm, axis=1) > _CLEAR_MM).all()]
    chosen = rng.permutation(len(clear))[: _count_of_negatives(region.name, rng)]
    return SimulatedCandidates(
        _positives(nodes, region.name, rng), tuple(clear[n].point_mm for n in sorted(chosen.tolist()))
    )


def _positives(nodes: list[TrueNode], region: str, rng: np.random.Generator) -> tuple[tuple[Point, int], ...]:
    """Sample points on nodes, a little off their middles, and the index of the node."""
    chest = region == MEDIASTINUM
    positives: list[tuple[Point, int]] = []
    for number, node in enumerate(nodes):
        if chest and rng.random() < 0.26:
            continue
        for _ in range(int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25] if chest else [0.5, 0.32, 0.18]))):
            away = rng.normal(0, min(4.0, node.short_axis_mm / 6), 3)
            positives.append((_point(np.array(node.centre_mm) + away), number))
    return tuple(positives)


def _count_of_negatives(region: str, rng: np.random.Generator) -> int:
    return int(np.clip(rng.normal(*((35.6, 6.0) if region == MEDIASTINUM else (40.5, 6.0))), 10, 60))


def _negatives(
    anatomy: Anatomy, volume: Volume, region: str, nodes: list[TrueNode], count: int, rng: np.random.Generator
) -> list[Point]:
    by_kind = {kind: [part for part in anatomy.parts if part.kind == kind] for kind in LOOK_ALIKES}
    taken = [np.array(node.centre_mm) for node in nodes]
    others: list[NDArray[np.float64]] = []
    for _ in range(count * 40):
        if len(others) == count:
            break
        parts = by_kind[str(rng.choice(LOOK_ALIKES, p=_LIKELY))]
        point = _within(parts[int(rng.integers(len(parts)))], rng) if parts else None
        if point is None or not _is_seen(point, anatomy, volume, region):
            continue
        is_clear = all(np.linalg.norm(point - node) > _CLEAR_MM for node in taken)
        if is_clear and all(np.linalg.norm(point - other) > _MIN_DISTANCE_MM for other in others):
            others.append(point)
    return [_point(point) for point in others]


def _within(part: BodyPart, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Sample a point in the part, not deep in it: a detector of small things does not mark the middle of the liver."""
    low, high = part.solid.bounds
    points = rng.uniform(low, high, (64, 3))
    distance = part.solid.at(points)
    inside = np.flatnonzero((distance < 0) & (distance > -_DEEPEST_MM))
    return np.asarray(points[inside[0]]) if inside.size else None


def _is_seen(point: NDArray[np.float64], anatomy: Anatomy, volume: Volume, region: str) -> bool:
    """Return whether a point lies in the scan, in the region, and in something soft."""
    if not volume.geometry.contains(point):
        return False
    if abs(point[0]) / anatomy.scale[0] > _HALF_WIDTH_MM[region]:
        return False
    above = float(point[2]) / anatomy.scale[2] - _BORDER_MM
    if (above < -_OVERLAP_MM) if region == MEDIASTINUM else (above > _OVERLAP_MM):
        return False
    i, j, k = volume.geometry.nearest_voxel(_point(point))
    return bool(_SOFT_HU[0] < volume.hu[k, j, i] < _SOFT_HU[1])


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
