"""Shoulder girdle, axillae and neck base: fat, the muscles and vessels that cross it, scapulae and humeri."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.body.parts import BodyPart, TubePoint
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import (
    HalfSpace,
    Intersection,
    LatticeSolid,
    Offset,
    Solid,
    Subtraction,
    Tubes,
    Union,
    joined,
    tube,
)
from ctlymph.phantom.body.trunk import Trunk, arm

# Angle on the muscle wall (0 at the back, 90 at the side), height and depth under it, for arms down and up.
_MEDIAL = {
    False: [(32, 405, 14), (34, 365, 12), (38, 325, 11), (44, 292, 11)],
    True: [(34, 418, 16), (38, 380, 13), (46, 338, 12), (58, 302, 12)],
}
_LATERAL = {
    False: [(68, 408, 34), (66, 372, 30), (58, 335, 22), (46, 290, 12)],
    True: [(76, 424, 32), (76, 388, 30), (70, 345, 24), (61, 300, 13)],
}
_NECK_MUSCLES: dict[str, list[TubePoint]] = {
    "sternocleidomastoid": [(18, -58, 396, 5), (32, -46, 430, 8), (46, -26, 470, 9)],
    "anterior scalene": [(44, -20, 412, 5), (34, -10, 440, 6), (26, -6, 470, 5)],
    "middle scalene": [(58, 2, 412, 7), (44, 6, 440, 8), (34, 8, 470, 8)],
    "omohyoid": [(92, -6, 418, 2.4), (56, -24, 434, 2.6), (26, -42, 470, 3)],
    "strap muscles": [(9, -54, 396, 4), (9, -46, 430, 4), (10, -40, 470, 4.5)],
    "levator of the scapula": [(84, 62, 412, 9), (58, 36, 440, 10), (44, 24, 470, 10)],
}
_NECK_VESSELS: dict[str, list[TubePoint]] = {
    "external jugular vein": [(50, -30, 414, 2.4), (54, -34, 436, 2.3), (56, -30, 470, 2)],
    "transverse cervical vessels": [(38, -22, 424, 1.6), (66, -10, 430, 1.5), (98, 22, 436, 1.2)],
    "thyrocervical trunk": [(40, -18, 420, 1.8), (32, -16, 436, 1.5), (26, -20, 456, 1.2)],
    "anterior jugular vein": [(14, -58, 404, 1.6), (11, -52, 440, 1.5), (10, -48, 470, 1.4)],
}


def shoulder_parts(trunk: Trunk) -> list[BodyPart]:
    """Return the soft tissues of shoulders and neck base, in painting order."""
    t = trunk.physique.tissues
    neck = Intersection((Offset(trunk.wall, -2.5), _above(trunk, 432)))
    spine = trunk.along_spine([(z, 0, 30 + 16 * (z < 430), 30 + 26 * (z < 430)) for z in range(240, 481, 20)])
    outside = Intersection((Offset(trunk.wall, -2.0), _above(trunk, 258)))
    fat = Subtraction(Union((outside, neck)), (LatticeSolid(Offset(trunk.cavity, 11.0), 3.0), spine))
    parts = [BodyPart("axillary fat", "fat", LatticeSolid(fat, 3.0, cutoff_mm=8.0), t.fat)]
    fossae = [trunk.physique.ellipsoid((side * 62, -18, 425), (32, 28, 18)) for side in (-1, 1)]
    parts.append(BodyPart("supraclavicular fat", "fat", Union(tuple(fossae)), t.fat))
    for side in (-1, 1):
        parts += _muscles(trunk, side) + _vessels(trunk.physique, side)
    return parts


def scapula(trunk: Trunk, side: int) -> list[Tubes]:
    """Return blade, border, spine and glenoid of a scapula, turned as the arm lies."""
    medial, lateral = (_on_wall(trunk, side, table[trunk.physique.arms_up]) for table in (_MEDIAL, _LATERAL))
    blade = [_strut(medial, lateral, share, (2.0, 2.4)) for share in np.linspace(0, 1, 14)]
    border = tube(np.column_stack([lateral, np.full(4, 4.0)]))
    crest = medial[1] * 0.6 + lateral[0] * 0.4 + (0, 14, 4)
    acromion = lateral[0] + (side * 10, 8, 14)
    spine = tube(np.stack([[*medial[1], 2.5], [*crest, 3.5], [*acromion, 4.5]]))
    glenoid = tube(np.stack([[*(lateral[0] + (0, 0, -9)), 9], [*(lateral[0] + (side * 3, -2, 3)), 9]]))
    return [*blade, border, spine, glenoid]


def humerus(trunk: Trunk, side: int) -> list[Tubes]:
    """Return the upper end of a humerus, whose shaft follows the arm."""
    head = _shoulder_joint(trunk, side)
    top = head + np.array((side * 2, 0, 4))
    return [tube(np.stack([[*head, 22], [*top, 21]])), arm(trunk.physique, side, 12.0)]


def _shoulder_joint(trunk: Trunk, side: int) -> NDArray[np.float64]:
    socket = _on_wall(trunk, side, _LATERAL[trunk.physique.arms_up])[0]
    return np.asarray(socket + np.array((side * 27, -8, 6)))


def _above(trunk: Trunk, z: float) -> Solid:
    return HalfSpace((0, 0, z * float(trunk.physique.scale[2])), (0, 0.25 if z < 300 else 0, -1))


def _on_wall(trunk: Trunk, side: int, rows: Sequence[tuple[float, float, float]]) -> NDArray[np.float64]:
    """Return points (n, 3), LPS mm, at angles on the muscle wall, standard heights, and depths under it."""
    angle, z, depth = np.array(rows, dtype=float).T
    return np.stack(
        [
            trunk.wall.contour(side * np.radians(a), h, outward_mm=-d * trunk.physique.size)
            for a, h, d in zip(angle, z * trunk.physique.scale[2], depth, strict=True)
        ]
    )


def _strut(start: NDArray[np.float64], end: NDArray[np.float64], share: float, radii: tuple[float, float]) -> Tubes:
    at = share * (len(start) - 1)
    ends = [[np.interp(at, np.arange(len(line)), column) for column in line.T] for line in (start, end)]
    return tube(np.column_stack([ends, radii]), (1, 1, 2.0))


def _sheet(
    trunk: Trunk, side: int, rows: Sequence[tuple[tuple[float, float], tuple[float, float]]], shape: tuple[float, float]
) -> Tubes:
    """Return a flat muscle whose fibres run from one angle and height on the wall to another.

    ``shape`` is its half thickness and its depth, mm.
    """
    half, depth = shape
    fibres = []
    for (angle, z), (last, height) in rows:
        points = _on_wall(
            trunk,
            side,
            [(a, h, depth) for a, h in zip(np.linspace(angle, last, 7), np.linspace(z, height, 7), strict=True)],
        )
        fibres.append(tube(np.column_stack([points, np.linspace(half * 0.8, half, 7)]), (1, 1, 1.8)))
    return joined(fibres)


def _muscles(trunk: Trunk, side: int) -> list[BodyPart]:
    physique, t = trunk.physique, trunk.physique.tissues
    strength = 1.1 if physique.sex == "M" else 0.85
    high = 395 if physique.arms_up else 380
    sheets = {
        "pectoralis major": _sheet(
            trunk, side, [((174, z), (112, 0.4 * z + 0.6 * high)) for z in range(284, 392, 13)], (6.5 * strength, 9)
        ),
        "latissimus dorsi": _sheet(
            trunk, side, [((28, z), (84, 0.5 * z + 0.5 * high)) for z in range(236, 350, 14)], (5.0, 7)
        ),
        "trapezius": _sheet(trunk, side, [((5, z), (46, 0.6 * z + 0.4 * 425)) for z in range(270, 430, 13)], (4.5, 6)),
        "upper trapezius": _sheet(trunk, side, [((6, z), (74, z)) for z in range(424, 478, 11)], (6.0 * strength, 9)),
        "rhomboid": _sheet(trunk, side, [((10, z + 16), (36, z)) for z in range(320, 410, 13)], (4.5, 16)),
    }
    medial, lateral = (_on_wall(trunk, side, table[physique.arms_up]) for table in (_MEDIAL, _LATERAL))
    front = np.array((-side * 0.55, -0.83, 0.0))
    for name, shift, radii in (("subscapularis", 9.5, (5, 9)), ("infraspinatus", -9.5, (5, 9))):
        fan = [_strut(medial + front * shift, lateral + front * shift, s, radii) for s in np.linspace(0, 1, 9)]
        sheets[name] = joined(fan)
    ribs = [(z * physique.scale[2], np.radians(np.linspace(48, 122, 8)) * side) for z in range(262, 372, 11)]
    serratus = [trunk.cavity.contour(angle, np.full(8, z), outward_mm=13.0) for z, angle in ribs]
    sheets["serratus anterior"] = joined([tube(np.column_stack([p, np.full(8, 3.2)]), (1, 1, 1.9)) for p in serratus])
    minor = [
        physique.tube([(side * x, y, z, 4), (side * 122, -34, 398, 5)], (1, 1, 1.5))
        for x, y, z in ((92, -94, 316), (98, -84, 332), (100, -74, 348))
    ]
    sheets["pectoralis minor"] = joined(minor)
    inside = Offset(trunk.wall, -1.0)
    neck = [
        BodyPart(name, "muscle", physique.tube([(side * x, y, z, r) for x, y, z, r in rows]), t.muscle)
        for name, rows in _NECK_MUSCLES.items()
    ]
    return neck + [
        BodyPart(name, "muscle", LatticeSolid(Intersection((one, inside)), 2.0, 3.0, 5.0), t.muscle)
        for name, one in sheets.items()
    ]


def _vessels(physique: Physique, side: int) -> list[BodyPart]:
    """Return subclavian, axillary and neck vessels with their small branches."""
    rng, t = physique.rng, physique.tissues
    bend = [(150, -6, 412), (176, -2, 470)] if physique.arms_up else [(152, -4, 384), (212, 14, 310)]
    artery = [(58, -14, 418, 4.5), (95, -24, 400, 4.5), (128, -20, 390, 4), (*bend[0], 3.5), (*bend[1], 3)]
    vein = [
        (55, -30, 412, 5.5),
        (95, -38, 394, 5.5),
        (128, -31, 382, 5),
        (bend[0][0], bend[0][1] - 12, bend[0][2] - 8, 4.5),
        (*np.subtract(bend[1], (0, 9, 0)), 3.5),
    ]
    blood = t.upper_vein if side == physique.injected else t.vein
    courses = [("subclavian artery", artery, t.artery), ("subclavian vein", vein, blood)]
    parts = [
        BodyPart(name, "vessel", physique.tube([(side * x, y, z, r) for x, y, z, r in rows]), hu)
        for name, rows, hu in courses
    ]
    parts += [
        BodyPart(name, "twigs", physique.tube([(side * x, y, z, r) for x, y, z, r in rows]), (t.artery + t.vein) / 2)
        for name, rows in _NECK_VESSELS.items()
    ]
    twigs = []
    for _ in range(16):
        x, y, z, _r = vein[int(rng.integers(1, 4))]
        end = np.array((x, y, z)) + rng.normal(0, 1, 3) * (14, 20, 30) + (6, 14, -34)
        middle = (np.array((x, y, z)) + end) / 2 + rng.normal(0, 6, 3)
        rows = [
            (side * x, y, z, 1.6),
            (side * middle[0], middle[1], middle[2], 1.3),
            (side * end[0], end[1], end[2], 0.8),
        ]
        twigs.append(physique.tube(rows))
    return [*parts, BodyPart("axillary branches", "twigs", joined(twigs), (t.artery + t.vein) / 2)]
