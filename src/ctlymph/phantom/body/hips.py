"""The pelvis: sacrum, hip bones and upper femora, and the fat and muscles about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.body.parts import BodyPart, TubePoint
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import (
    Ellipsoid,
    HalfSpace,
    Intersection,
    LatticeSolid,
    Offset,
    Solid,
    Subtraction,
    Union,
    joined,
)
from ctlymph.phantom.body.trunk import Trunk

_HIP = (88, -26, -136)
# Crest of the ilium from back to front, and the line, above sciatic notch and hip, to which the wing runs down.
_CREST = [(50, 62, -30), (66, 58, -12), (92, 42, 0), (121, 5, 4), (130, -32, -16), (124, -52, -38)]
_FOOT = [(46, 50, -84), (56, 42, -88), (70, 22, -100), (88, -4, -110), (98, -26, -106), (104, -42, -98)]
_SACRUM = ((-40, 27, 17, 16), (-64, 22, 14, 14), (-88, 18, 11, 13), (-110, 15, 9, 12), (-130, 11, 7, 11))
_PUBIS: list[TubePoint] = [
    (76, -44, -122, 12),
    (52, -62, -138, 8),
    (28, -74, -152, 8),
    (10, -78, -160, 9),
    (8, -74, -176, 9),
]
_ISCHIUM: list[TubePoint] = [(84, 2, -140, 14), (76, 18, -166, 13), (66, 20, -192, 14), (60, 12, -212, 13)]
_RAMUS: list[TubePoint] = [(9, -72, -176, 6), (30, -42, -194, 6), (52, -4, -212, 8)]
_FEMUR: list[TubePoint] = [(90, -25, -136, 17), (118, -16, -148, 15), (140, -6, -162, 17), (138, -8, -205, 15)]


def pelvic_bones(trunk: Trunk) -> list[BodyPart]:
    """Return sacrum and coccyx, hip bones with their sockets, and the femora down to the lesser trochanters."""
    physique = trunk.physique
    parts = _bone(physique, "sacrum", _sacrum(trunk), 1.3)
    parts.append(BodyPart("sacral foramina", "fat", _foramina(trunk), physique.tissues.fat + 45))
    coccyx = trunk.along_spine([(-140, 0, 0, 5), (-156, 0, 0, 4), (-168, 0, 0, 3)])
    parts += _bone(physique, "coccyx", coccyx, 1.2)
    for side in (-1, 1):
        parts += _bone(physique, "hip bone", _hip_bone(physique, side), 1.8)
        head = _ball(physique, side, 24.5)
        shaft = physique.tube(_mirrored(_FEMUR, side))
        trochanter = physique.ellipsoid((side * 147, 2, -154), (13, 17, 20))
        femur = LatticeSolid(Union((head, shaft, trochanter), 8.0), 2.0)
        parts += [
            BodyPart("hip joint", "organ", Offset(head, 3.0), physique.tissues.muscle - 10),
            *_bone(physique, "femur", femur, 2.4),
        ]
    disc = physique.tube([(0, -80, -158, 5), (0, -76, -174, 5)])
    return [*parts, BodyPart("symphysis", "organ", disc, physique.tissues.disc)]


def pelvic_fat(trunk: Trunk) -> list[BodyPart]:
    """Return the fat of groins and ischioanal fossae, and that between the muscles of the buttock."""
    physique, t = trunk.physique, trunk.physique.tissues
    parts = []
    for side in (-1, 1):
        groin = Union(
            (
                physique.ellipsoid((side * 62, -84, -142), (22, 15, 34)),
                physique.ellipsoid((side * 70, -74, -176), (18, 18, 34)),
            ),
            12.0,
        )
        fossa = Union(
            (
                physique.ellipsoid((side * 34, 34, -178), (20, 30, 30)),
                physique.ellipsoid((side * 62, 48, -150), (22, 10, 34), (0, 0, side * 20)),
                physique.ellipsoid((side * 58, 52, -112), (16, 9, 24), (0, 0, side * 20)),
            ),
            14.0,
        )
        hollows = (("groin fat", groin), ("ischioanal fat", fossa))
        parts += [
            BodyPart(name, "fat", LatticeSolid(physique.uneven(solid, 4.0, 24), 3.0), t.fat) for name, solid in hollows
        ]
        parts += [
            BodyPart(
                f"fat about {name}",
                "fat",
                LatticeSolid(Subtraction(Offset(solid, 1.6), (Offset(solid, -0.2),)), 1.6),
                t.fat + 10,
            )
            for name, solid in _muscles(physique, side)
        ]
        nerve = physique.tube(
            [(side * 52, 44, -108, 5), (side * 72, 52, -150, 5), (side * 84, 46, -205, 5)], (1.4, 0.8, 1)
        )
        parts.append(BodyPart("sciatic nerve", "muscle", nerve, t.muscle - 15))
    return parts


def _muscles(physique: Physique, side: int) -> list[tuple[str, Solid]]:
    """Return the muscles about the hip, of which only the fat between them is painted."""
    rows: dict[str, tuple[list[TubePoint], tuple[float, float, float]]] = {
        "gluteus medius": ([(136, 22, -30, 12), (146, 14, -80, 21), (152, -2, -130, 15)], (0.8, 1.9, 1.0)),
        "gluteus minimus": ([(134, -6, -60, 7), (134, -10, -100, 11), (142, -18, -140, 8)], (0.8, 2.0, 1.0)),
        "tensor fasciae latae": ([(138, -66, -60, 7), (146, -70, -120, 11), (150, -62, -205, 12)], (0.8, 1.5, 1.0)),
        "sartorius": ([(128, -70, -50, 6), (112, -84, -110, 9), (88, -92, -205, 9)], (1.2, 0.8, 1.0)),
        "rectus femoris": ([(110, -58, -104, 8), (116, -70, -150, 14), (118, -74, -205, 18)], (1.1, 0.9, 1.0)),
        "iliopsoas": ([(92, -56, -110, 18), (92, -58, -150, 18), (108, -40, -205, 15)], (1.1, 1.0, 1.0)),
        "adductors": ([(36, -66, -172, 10), (58, -56, -205, 17)], (1.6, 1.0, 1.0)),
        "piriformis": ([(30, 62, -96, 9), (72, 44, -112, 11), (120, 8, -136, 7)], (1.0, 1.0, 1.3)),
    }
    return [(name, physique.tube(_mirrored(points, side), stretch)) for name, (points, stretch) in rows.items()]


def _mirrored(rows: list[TubePoint], side: int) -> list[TubePoint]:
    return [(side * x, y, z, radius) for x, y, z, radius in rows]


def _bone(physique: Physique, name: str, solid: Solid, cortex_mm: float) -> list[BodyPart]:
    t = physique.tissues
    return [
        BodyPart(name, "bone", solid, t.cortex),
        BodyPart(f"{name} marrow", "bone", Offset(solid, -cortex_mm), t.marrow - 40),
    ]


def _sacrum(trunk: Trunk) -> Solid:
    physique = trunk.physique
    bodies: list[Solid] = []
    for z, width, depth, height in _SACRUM:
        _, y, _ = trunk.spine(z)
        bodies.append(physique.ellipsoid((0, y, z), (width * 1.15, depth * 1.1, height * 1.15), (30, 0, 0)))
        if z < -120:
            continue
        bodies.append(physique.ellipsoid((0, y + depth + 19, z - 6), (width * 0.7, 7, 13), (25, 0, 0)))
        for side in (-1, 1):
            ala = physique.ellipsoid(
                (side * width * 1.35, y + 6, z - 4), (width * 0.75, depth, height * 1.2), (20, 0, side * 22)
            )
            bodies.append(ala)
    return LatticeSolid(Union(tuple(bodies), 7.0), 2.0)


def _foramina(trunk: Trunk) -> Solid:
    """Return the canal of the sacrum and its openings in front, filled with fat about the nerves."""
    rows = [trunk.along_spine([(z, 0, depth + 9, 7.0 - 0.04 * (-40 - z)) for z, _, depth, _ in _SACRUM], (1.4, 1, 1))]
    for z, width, depth, _ in _SACRUM[:4]:
        rows += [
            trunk.along_spine([(z - 12, side * (width * 0.7), depth, 3.4), (z - 16, side * width, -depth - 4, 4.2)])
            for side in (-1, 1)
        ]
    return Union(tuple(rows))


def _hip_bone(physique: Physique, side: int) -> Solid:
    wing = [
        physique.tube(
            _mirrored(
                [
                    (*_lerp(_CREST, s), 5.5),
                    (*(_lerp(_CREST, s) * 0.5 + _lerp(_FOOT, s) * 0.5), 4.2),
                    (*_lerp(_FOOT, s), 6.5 + 4.0 * s),
                ],
                side,
            ),
            (1, 1, 1.4),
            bend_mm=20.0,
        )
        for s in np.linspace(0, 1, 45)
    ]
    x, y, z = physique.place((side * (_HIP[0] + 14), _HIP[1] - 6, _HIP[2] - 6))
    mouth = HalfSpace((x, y, z), (side * 0.85, -0.3, -0.35))
    cup = Intersection((_ball(physique, side, 35.0), mouth))
    rest = joined([physique.tube(_mirrored(rows, side)) for rows in (_PUBIS, _ISCHIUM, _RAMUS)])
    return LatticeSolid(Subtraction(Union((joined(wing), cup, rest), 8.0), (_ball(physique, side, 27.0),)), 2.0)


def _ball(physique: Physique, side: int, radius: float) -> Ellipsoid:
    return physique.ellipsoid((side * _HIP[0], _HIP[1], _HIP[2]), (radius, radius, radius))


def _lerp(line: list[tuple[int, int, int]], share: float) -> NDArray[np.float64]:
    at = share * (len(line) - 1)
    return np.array([np.interp(at, np.arange(len(line)), column) for column in np.transpose(line)])
