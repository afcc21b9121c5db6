"""Structures within the lungs: bronchi with their arteries, veins, fissures, and findings of disease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import (
    HalfSpace,
    Intersection,
    LatticeSolid,
    Offset,
    Rough,
    Shells,
    Solid,
    Subtraction,
    Tubes,
    Union,
    joined,
)

Point = NDArray[np.float64]

_THINNEST_MM = 0.66

# Where the bronchi of the segments leave those of the lobes, and where they head.
_SEGMENTS: dict[int, list[tuple[tuple[float, float, float], tuple[float, float, float]]]] = {
    -1: [
        ((-54, -4, 344), (-0.25, 0.1, 1)),
        ((-57, -3, 345), (-0.6, 0.8, 0.35)),
        ((-58, -4, 344), (-0.5, -0.9, 0.1)),
        ((-64, -28, 285), (-0.9, -0.5, -0.3)),
        ((-64, -29, 284), (-0.25, -0.9, -0.4)),
        ((-44, 10, 286), (-0.5, 0.95, 0.1)),
        ((-48, 12, 276), (-0.25, -0.3, -1)),
        ((-50, 14, 273), (-0.8, -0.5, -0.8)),
        ((-50, 14, 272), (-0.9, 0.25, -0.7)),
        ((-50, 15, 272), (-0.4, 0.7, -0.9)),
    ],
    1: [
        ((66, -16, 335), (0.2, 0.3, 1)),
        ((67, -17, 337), (0.5, 0.8, 0.5)),
        ((68, -18, 337), (0.4, -0.9, 0.2)),
        ((58, -10, 324), (0.4, -0.8, -0.55)),
        ((60, -12, 325), (0.9, -0.5, -0.5)),
        ((51, 15, 290), (0.5, 0.95, 0.1)),
        ((58, 20, 276), (0.4, -0.5, -0.9)),
        ((60, 22, 273), (0.9, -0.2, -0.7)),
        ((60, 22, 272), (0.35, 0.7, -0.9)),
    ],
}
# Where the large arteries and veins of the hila branch.
_ARTERIES = {-1: [(-40, -12, 316), (-46, -8, 311), (-55, -1, 297)], 1: [(48, 1, 331), (54, 10, 318), (61, 19, 298)]}
_VEINS = {-1: [(-60, -25, 318), (-62, 20, 270)], 1: [(64, -29, 322), (64, 24, 268)]}


@dataclass(frozen=True)
class _Twig:
    start: Point
    end: Point
    radius: float
    generation: int


def lung_contents(physique: Physique, lungs: Solid) -> list[BodyPart]:
    """Return fissures, bronchi, vessels and findings within ``lungs``, in painting order."""
    parts = _fissures(physique, lungs)
    if "emphysema" in physique.findings:
        parts.append(_emphysema(physique, lungs))
    for side in (-1, 1):
        parts += _trees(physique, lungs, side)
    if "lung nodule" in physique.findings:
        parts += _nodule(physique, lungs)
    if "pleural effusion" in physique.findings:
        parts += _effusion(physique, lungs)
    return parts


def _trees(physique: Physique, lungs: Solid, side: int) -> list[BodyPart]:
    """Return arteries, with the bronchi along them, and veins."""
    t = physique.tissues
    arteries: list[_Twig] = []
    veins: list[_Twig] = []
    for start, heading in _SEGMENTS[side]:
        at, towards = physique.place(start), np.array(heading) / np.linalg.norm(heading)
        arteries += _grow_tree(physique, lungs, (_nearest(physique, at, _ARTERIES[side]), at, towards), 3.1)
        veins += _grow_tree(
            physique, lungs, (_nearest(physique, at, _VEINS[side]), at - np.array((0, 0, 9)), towards), 2.9
        )
    # Arteries lie above and outside of their bronchi.
    offset = np.array([side * 0.5, -0.4, 0.75])
    airy = [twig for twig in arteries if 0 < twig.generation <= 4]
    bronchi = _tubes(airy, 0.85)
    vessels = joined([_tubes(veins), _shifted(_tubes(arteries), offset)])
    return [
        BodyPart("lung vessels", "twigs", vessels, t.lung_blood),
        BodyPart("bronchial wall", "twigs", Offset(bronchi, 0.8), t.muscle - 20),
        BodyPart("bronchi", "twigs", bronchi, t.air + 30),
    ]


def _grow_tree(physique: Physique, lungs: Solid, root: tuple[Point, Point, Point], radius: float) -> list[_Twig]:
    """Grow a tree: each twig splits in two, thinner and shorter, until it leaves the lung."""
    # Each twig has its own random stream, so that one that ends earlier at a follow-up changes no other.
    key = int(physique.rng.integers(2**62))
    anchor, first, towards = root
    twigs = [_Twig(anchor, first, radius * 1.25, 0)]
    growing = [(first, towards, radius, 1, 1)]
    while growing:
        point, heading, thick, generation, path = growing.pop()
        rng = np.random.default_rng([key, path])
        length = (4.5 + 3.6 * thick) * rng.uniform(0.7, 1.3)
        # A twig that would leave the lung turns, or ends.
        ways = np.concatenate([heading[None], heading + rng.normal(0, 0.7, (4, 3))])
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        inside = np.flatnonzero(lungs.at(point + ways * (length + 4)) < -1) if generation > 1 else np.zeros(1, np.intp)
        if not len(inside):
            continue
        heading = ways[inside[0]]
        end = point + heading * length
        twigs.append(_Twig(point, end, thick, generation))
        # One twig goes on, the other turns off and is thinner.
        for child, (share, away) in enumerate(((rng.uniform(0.82, 0.95), 0.22), (rng.uniform(0.5, 0.82), 0.6))):
            thin = thick * share
            turn = heading + rng.normal(0, away, 3)
            if thin > _THINNEST_MM:
                growing.append((end, turn / np.linalg.norm(turn), thin, generation + 1, 2 * path + child))
    return twigs


def _nearest(physique: Physique, point: Point, anchors: Sequence[tuple[float, float, float]]) -> Point:
    places = physique.place(anchors)
    return np.asarray(places[np.linalg.norm(places - point, axis=1).argmin()])


def _tubes(twigs: Sequence[_Twig], share: float = 1.0) -> Tubes:
    radius = np.array([twig.radius for twig in twigs]) * share
    return Tubes(
        np.array([twig.start for twig in twigs]),
        np.array([twig.end for twig in twigs]),
        np.stack([radius, 0.82 * radius], axis=1),
    )


def _shifted(tubes: Tubes, heading: Point) -> Tubes:
    shift = heading * (2.0 * tubes.radii_mm.mean(axis=1, keepdims=True) + 0.6)
    return Tubes(tubes.starts_mm + shift, tubes.ends_mm + shift, tubes.radii_mm)


def _fissures(physique: Physique, lungs: Solid) -> list[BodyPart]:
    """Return the oblique fissures and the right horizontal one: thin bright lines."""
    sheets: list[tuple[int, Solid]] = [
        (side, HalfSpace(_point(physique, (side * 80, 0, 312 if side > 0 else 304)), (0.0, 0.8, 0.75)))
        for side in (-1, 1)
    ]
    parts = []
    for side, plane in sheets:
        half = HalfSpace((side * 20.0, 0, 0), (-side, 0, 0))
        line = Shells(Rough(plane, 7.0, physique.waves(110)), (0.0,), 0.8)
        parts.append(
            BodyPart("oblique fissure", "twigs", Intersection((lungs, half, line)), physique.tissues.lung + 260)
        )
    minor = Shells(Rough(HalfSpace(_point(physique, (-80, 0, 312)), (0, 0, 1)), 6.0, physique.waves(90)), (0.0,), 0.8)
    space = Intersection((lungs, HalfSpace((-20, 0, 0), (1, 0, 0)), HalfSpace(_point(physique, (0, -8, 0)), (0, 1, 0))))
    return [*parts, BodyPart("horizontal fissure", "twigs", Intersection((space, minor)), physique.tissues.lung + 260)]


def _emphysema(physique: Physique, lungs: Solid) -> BodyPart:
    """Return holes of 2–9 mm, most of them in the upper lobes."""
    rng = physique.rng
    count = int(rng.integers(150, 500))
    centres = rng.uniform((-125, -70, 250), (125, 75, 425), (count, 3))
    points = physique.place(centres[rng.random(count) < (centres[:, 2] - 230) / 190])
    radius = rng.uniform(1.2, 4.5, (len(points), 1))
    holes = Tubes(points, points + rng.normal(0, 1, points.shape) * radius, np.repeat(radius, 2, axis=1))
    return BodyPart("emphysema", "twigs", Intersection((Offset(lungs, -1.0), holes)), -965.0)


def _nodule(physique: Physique, lungs: Solid) -> list[BodyPart]:
    """Return a tumour with spicules, now and then with a hazy consolidation about it."""
    rng, t = physique.rng, physique.tissues
    side = int(rng.choice([-1, 1]))
    centre = np.array([side * rng.uniform(75, 105), rng.uniform(-40, 40), rng.uniform(260, 395)])
    radius = float(rng.uniform(4, 16))
    solid = Rough(
        physique.ellipsoid(centre, radius * rng.uniform(0.8, 1.2, 3)), 0.2 * radius, physique.waves(radius * 1.2)
    )
    place = physique.place(centre)
    ends = place + rng.normal(0, 1, (14, 3)) * radius * 1.1
    spicules = Tubes(np.repeat(place[None], 14, axis=0), ends, np.tile([1.4, 0.4], (14, 1)))
    parts = [BodyPart("lung nodule", "lung", Intersection((lungs, Union((solid, spicules)))), t.muscle - 10)]
    if rng.random() < 0.4:
        haze = Rough(physique.ellipsoid(centre, (2.2 * radius, 2.0 * radius, 1.8 * radius)), 6.0, physique.waves(22))
        parts.insert(0, BodyPart("consolidation", "lung", Intersection((lungs, haze)), float(rng.uniform(-600, -150))))
    return parts


def _effusion(physique: Physique, lungs: Solid) -> list[BodyPart]:
    """Return the crescent of fluid that lies at the back of a pleural space, with a rim of collapsed lung in front."""
    rng, t = physique.rng, physique.tissues
    side = int(rng.choice([-1, 1]))
    half = HalfSpace((side * 8.0, 0, 0), (-side, 0, 0))
    air = physique.ellipsoid(
        (side * 62, -30, 310), (76, float(rng.uniform(64, 94)), 190), (float(rng.uniform(4, 12)), 0, 0)
    )
    lying = Subtraction(HalfSpace(_point(physique, (0, -20, 0)), (0, -1, 0)), (air,))
    sunk = LatticeSolid(
        Intersection((Offset(lungs, 0.5), half, Offset(Rough(lying, 4.0, physique.waves(80)), 9.0))), 2.5
    )
    return [
        BodyPart("collapsed lung", "lung", sunk, t.muscle + (30 if physique.phase != "unenhanced" else -15)),
        BodyPart(
            "pleural effusion",
            "lung",
            Intersection((sunk, Rough(lying, 4.0, physique.waves(60)))),
            float(rng.normal(9, 6)),
        ),
    ]


def _point(physique: Physique, standard: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = physique.place(standard)
    return float(x), float(y), float(z)
