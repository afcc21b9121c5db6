"""Spine, ribs, sternum, shoulder girdle and pelvis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.phantom.body.hips import pelvic_bones, pelvic_fat
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Offset, Solid, SuperellipticColumn, Tubes, joined, tube
from ctlymph.phantom.body.shoulders import humerus, scapula, shoulder_parts
from ctlymph.phantom.body.trunk import Trunk

# Middle of each body (standard z), half width, half depth, half height; from L5 up to C7.
_VERTEBRAE: dict[str, tuple[float, float, float, float]] = {
    "L5": (-18, 26.0, 17.5, 13.5),
    "L4": (18, 25.5, 17.5, 14.0),
    "L3": (55, 24.5, 17.0, 14.0),
    "L2": (91, 23.5, 16.5, 13.8),
    "L1": (126, 22.5, 16.0, 13.3),
    "T12": (159, 21.5, 15.5, 12.8),
    "T11": (189, 20.0, 15.5, 12.0),
    "T10": (217, 18.5, 15.5, 11.3),
    "T9": (243, 17.5, 15.5, 10.7),
    "T8": (268, 16.5, 15.0, 10.3),
    "T7": (292, 15.8, 14.5, 10.0),
    "T6": (315, 15.2, 14.0, 9.6),
    "T5": (337, 14.8, 13.5, 9.2),
    "T4": (358, 14.6, 12.5, 8.8),
    "T3": (378, 14.6, 11.5, 8.4),
    "T2": (397, 15.0, 10.5, 8.2),
    "T1": (416, 15.5, 9.5, 8.0),
    "C7": (434, 15.0, 9.0, 7.5),
    "C6": (452, 14.0, 8.5, 7.0),
}
# Height of the rib's bony end and of its cartilage at the sternum (0: floating); angle from the back where bone ends.
_RIBS: dict[int, tuple[float, float, float]] = {
    1: (392, 384, 150),
    2: (356, 352, 150),
    3: (324, 330, 148),
    4: (294, 310, 146),
    5: (266, 291, 144),
    6: (240, 275, 140),
    7: (216, 262, 136),
    8: (194, 250, 128),
    9: (174, 232, 120),
    10: (156, 214, 110),
    11: (142, 0, 86),
    12: (130, 0, 60),
}


def skeleton_parts(trunk: Trunk) -> list[BodyPart]:
    """Return all bones, with cortex and marrow, discs, rib cartilage and the spinal canal."""
    parts = shoulder_parts(trunk) + pelvic_fat(trunk)
    for number, ends in _RIBS.items():
        parts += _rib(trunk, number, *ends)
    for name, place in _VERTEBRAE.items():
        parts += _vertebra(trunk, name, *place)
    return parts + _spinal_canal(trunk) + _discs(trunk) + _sternum(trunk) + _girdles(trunk) + pelvic_bones(trunk)


def bone(physique: Physique, name: str, tubes: Sequence[Tubes], cortex_mm: float = 1.4) -> list[BodyPart]:
    """Return cortex, then marrow, of a bone made of tubes; tubes of one stretch are joined."""
    groups: dict[tuple[float, float, float], list[Tubes]] = {}
    for one in tubes:
        groups.setdefault(one.stretch, []).append(one)
    solids = [joined(group) for group in groups.values()]
    t = physique.tissues
    return [BodyPart(name, "bone", solid, t.cortex) for solid in solids] + [
        BodyPart(f"{name} marrow", "bone", Offset(solid, -cortex_mm), t.marrow + 90) for solid in solids
    ]


def _vertebra(trunk: Trunk, name: str, z: float, width: float, depth: float, height: float) -> list[BodyPart]:
    physique, t = trunk.physique, trunk.physique.tissues
    body = _block(trunk, z, width, depth, height)
    return [
        *bone(physique, f"{name} arch", _arch(trunk, z, width, depth, height, thoracic=name.startswith("T")), 1.2),
        BodyPart(f"{name} body", "bone", body, t.cortex - 120),
        BodyPart(f"{name} body marrow", "bone", Offset(body, -1.1), t.marrow),
    ]


def _block(
    trunk: Trunk, z: float, width: float, depth: float, half_height: float, waist: float = 0.9
) -> SuperellipticColumn:
    physique = trunk.physique
    x, y, middle = physique.place(trunk.spine(z))
    a, b, h = width * physique.size, depth * physique.size, half_height * physique.scale[2]
    rows = [
        (middle + level * h, x, a * narrow, y - b * narrow, y + b * narrow, 2.4)
        for level, narrow in ((-1, 1.0), (-0.55, waist), (0.55, waist), (1, 1.0))
    ]
    return SuperellipticColumn(np.array(rows))


def _arch(trunk: Trunk, z: float, width: float, depth: float, height: float, *, thoracic: bool) -> list[Tubes]:
    """Return pedicles, laminae, facets, transverse and spinous processes."""
    middle = trunk.spine(z)
    canal = 9.0 if thoracic else 11.0

    def lay(*rows: tuple[float, float, float, float], stretch: tuple[float, float, float] = (1, 1, 1)) -> Tubes:
        points = np.array(rows, dtype=float)
        points[:, :3] += middle
        return trunk.physique.tube(points, stretch)

    tip = depth + (58 if thoracic else 56)
    sink = -26 if thoracic else -8
    tubes = [
        lay(
            (0, depth + 22, -3, 2.6),
            (0, tip - 4, sink, 2.0),
            (0, tip, sink - 1, 2.8),
            stretch=(1, 1, 1.8 if thoracic else 3.2),
        ),
    ]
    for side in (-1, 1):
        tubes.append(
            lay((side * width * 0.72, depth - 4, 4, 4.2), (side * (canal + 5), depth + 9, 3, 4.2), stretch=(1, 1, 1.5))
        )
        tubes.append(
            lay(
                (side * (canal + 5), depth + 9, 0, 3.6),
                (side * 6, depth + 21, -5, 3.4),
                (0, depth + 24, -6, 3.4),
                stretch=(1, 1, 2.0),
            )
        )
        tubes.append(lay((side * (canal + 6), depth + 12, -height, 5.0), (side * (canal + 6), depth + 12, height, 4.6)))
        tip_x, back = (width + 14, depth + 24) if thoracic else (width + 17, depth + 10)
        tubes.append(lay((side * (canal + 5), depth + 11, 3, 4.4), (side * tip_x, back, 2, 3.4)))
    return tubes


def _spinal_canal(trunk: Trunk) -> list[BodyPart]:
    t = trunk.physique.tissues
    depths = np.array([(row[0], row[2]) for row in _VERTEBRAE.values()], dtype=float)
    z = np.arange(-40.0, 471.0, 15.0)
    behind = np.interp(z, depths[:, 0], depths[:, 1]) + 8.5

    def lay(radius: float) -> Solid:
        return trunk.along_spine(np.column_stack([z, 0 * z, behind, 0 * z + radius]), (1.25, 1, 1))

    return [
        BodyPart("epidural fat", "fat", lay(7.2), t.fat + 40),
        BodyPart("thecal sac", "organ", lay(6.0), t.cord),
    ]


def _discs(trunk: Trunk) -> list[BodyPart]:
    rows = list(_VERTEBRAE.items())
    parts = []
    for (lower, a), (_, b) in pairwise(rows):
        bottom, top = a[0] + a[3], b[0] - b[3]
        disc = _block(trunk, (bottom + top) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2, (top - bottom) / 2, waist=1.0)
        parts.append(BodyPart(f"disc above {lower}", "organ", disc, trunk.physique.tissues.disc))
    return parts


def _rib(trunk: Trunk, number: int, end_z: float, sternum_z: float, end_deg: float) -> list[BodyPart]:
    physique, t = trunk.physique, trunk.physique.tissues
    head_z, width, depth, _ = _VERTEBRAE[f"T{number}"]
    parts = []
    for side in (-1, 1):
        neck = physique.place(
            trunk.spine(head_z + 5)
            + np.array([(side * (width + 1), depth - 3, 0), (side * (width + 12), depth + 16, -1)])
        )
        angle = np.radians(np.linspace(27 if number > 1 else 45, end_deg, 14))
        share = np.linspace(0, 1, 14)
        # Ribs fall slowly at the back, fast along the side.
        height = (head_z + 1.25 * (end_z - head_z) * (0.55 * share + 0.45 * share**1.6)) * physique.scale[2]
        shaft = trunk.cavity.contour(side * angle, height, outward_mm=5.0)
        points = np.concatenate([neck, shaft])
        thick = np.full((len(points), 1), 3.6 if 1 < number < 11 else 3.2)
        shape = tube(np.concatenate([points, thick], axis=1), (1, 1, 1.75))
        parts.append(BodyPart(f"rib {number}", "bone", shape, t.cortex - 60))
        parts.append(BodyPart(f"rib {number} marrow", "bone", Offset(shape, -1.2), 0.5 * t.marrow + 10))
        under = np.concatenate([neck[1:], shaft[:11]]) - (0, 0, 7.5 * physique.scale[2])
        vessels = tube(np.column_stack([under, np.full(12, 1.1)]), (1, 1, 1.5))
        parts.append(BodyPart("intercostal vessels", "twigs", vessels, (t.artery + t.vein) / 2 - 25))
        if sternum_z:
            parts.append(
                BodyPart(
                    f"cartilage {number}", "bone", _cartilage(trunk, side, shaft[-1], end_deg, sternum_z), t.cartilage
                )
            )
    return parts


def _cartilage(trunk: Trunk, side: int, start_mm: NDArray[np.float64], start_deg: float, sternum_z: float) -> Tubes:
    share = np.linspace(0, 1, 8)
    last = 172 if sternum_z > 255 else 162
    height = start_mm[2] + (sternum_z * trunk.physique.scale[2] - start_mm[2]) * share**1.3
    points = trunk.cavity.contour(side * np.radians(start_deg + (last - start_deg) * share), height, outward_mm=5.5)
    return tube(np.concatenate([points, np.full((8, 1), 3.8)], axis=1), (1, 1, 1.5))


def _sternum(trunk: Trunk) -> list[BodyPart]:
    def lay(rows: ArrayLike, width: float) -> Tubes:
        z, radius = np.asarray(rows, dtype=float).T
        heights = z * trunk.physique.scale[2]
        points = trunk.cavity.contour(np.full(len(z), np.pi), heights, outward_mm=7.0)
        return tube(np.concatenate([points, radius[:, None]], axis=1), (width, 1, 1))

    manubrium = lay([(352, 4.5), (368, 5.5), (386, 6.5)], 4.0)
    body = lay([(348, 4.5), (320, 4.5), (280, 5.0), (252, 4.6)], 3.4)
    xiphoid = lay([(250, 3.2), (225, 2.4)], 2.5)
    return [
        part
        for name, one in (("manubrium", manubrium), ("sternum", body), ("xiphoid", xiphoid))
        for part in bone(trunk.physique, name, [one], 1.2)
    ]


def _girdles(trunk: Trunk) -> list[BodyPart]:
    """Return clavicles, scapulae and the heads of the humeri."""
    physique = trunk.physique
    parts = []
    for side in (-1, 1):
        clavicle = physique.tube(
            [(side * 22, -60, 391, 7), (side * 60, -58, 405, 5), (side * 105, -30, 420, 4.5), (side * 145, 0, 430, 6)]
        )
        parts += bone(physique, "clavicle", [clavicle]) + bone(physique, "scapula", scapula(trunk, side), 1.0)
        parts += bone(physique, "humerus", humerus(trunk, side), 1.6)
    return parts
