"""Vessels of the abdomen: the great ones' branches, the portal system, and the mesentery's arcades up to the bowel."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.body.parts import BodyPart, TubePoint
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Tubes, joined, tube

Blood = Literal["artery", "vein", "lower_vein", "portal_vein"]
"""A field of :class:`~ctlymph.phantom.body.tissues.Tissues`."""

_MESENTERIC_ARTERY: list[TubePoint] = [
    (8, -38, 136, 4.5),
    (4, -50, 124, 4.2),
    (0, -62, 96, 4),
    (-6, -68, 60, 3.5),
    (-24, -70, 26, 2.8),
    (-48, -66, 2, 2),
]
_MESENTERIC_VEIN: list[TubePoint] = [
    (-12, -54, 126, 6.5),
    (-11, -62, 98, 6),
    (-14, -66, 62, 5.5),
    (-28, -68, 30, 4.5),
    (-48, -60, 4, 3),
]
_COURSES: dict[Blood, dict[str, list[TubePoint]]] = {
    "artery": {
        "coeliac trunk": [(8, -30, 152, 4.2), (8, -46, 154, 4), (6, -52, 156, 3.6)],
        "common hepatic artery": [(6, -52, 156, 3), (-14, -58, 152, 2.8), (-34, -54, 160, 2.2), (-54, -42, 170, 1.6)],
        "splenic artery": [
            (6, -52, 156, 3.2),
            (22, -44, 166, 3),
            (36, -30, 158, 3),
            (50, -26, 168, 3),
            (66, -10, 168, 2.8),
            (80, 6, 178, 2.4),
        ],
        "left gastric artery": [(7, -50, 156, 2.2), (16, -46, 176, 2), (28, -36, 196, 1.8), (34, -50, 176, 1.4)],
        "gastroduodenal artery": [(-14, -58, 152, 2), (-22, -64, 130, 2), (-22, -66, 112, 1.6), (-10, -72, 100, 1.4)],
        "right gastric artery": [(-34, -54, 160, 1.4), (-4, -62, 150, 1.4), (24, -56, 164, 1.3), (34, -50, 176, 1.3)],
        "gastro-epiploic artery": [
            (-22, -66, 112, 1.6),
            (0, -86, 108, 1.6),
            (40, -92, 118, 1.6),
            (82, -72, 142, 1.5),
            (96, -36, 168, 1.4),
        ],
        "superior mesenteric artery": _MESENTERIC_ARTERY,
        "middle colic artery": [(2, -56, 112, 2.2), (-2, -74, 96, 2), (-14, -84, 84, 1.6), (-52, -80, 86, 1.3)],
        "left branch of the middle colic artery": [(-2, -74, 96, 1.8), (22, -82, 92, 1.6), (62, -74, 104, 1.3)],
        "right colic artery": [(-4, -66, 70, 1.8), (-40, -56, 62, 1.8), (-84, -22, 58, 1.3)],
        "ileocolic artery": [(-18, -70, 34, 2.2), (-50, -56, 10, 2), (-76, -42, -16, 1.6), (-84, -36, -34, 1.2)],
        "inferior mesenteric artery": [
            (8, -46, 52, 2.2),
            (16, -50, 32, 2),
            (24, -46, 0, 1.9),
            (22, -26, -46, 1.8),
            (10, 4, -80, 1.6),
            (8, 30, -112, 1.2),
        ],
        "left colic artery": [(16, -50, 32, 1.6), (50, -30, 40, 1.6), (90, -4, 74, 1.3), (100, -2, 112, 1.2)],
        "sigmoid arteries": [(24, -46, 0, 1.6), (54, -44, -30, 1.5), (62, -52, -66, 1.2)],
        "left renal artery": [(14, -34, 120, 2.8), (32, -16, 118, 2.6), (50, -2, 118, 2.2)],
        "right renal artery": [(2, -30, 118, 2.8), (-26, -22, 116, 2.6), (-50, -2, 110, 2.2)],
        "left inferior phrenic artery": [(12, -30, 160, 1.3), (24, -20, 180, 1.3), (34, -18, 210, 1.2)],
    },
    "vein": {
        "left renal vein": [(-20, -40, 116, 5), (8, -47, 118, 4), (28, -32, 118, 5), (50, -8, 116, 4)],
        "right renal vein": [(-28, -34, 110, 5), (-42, -18, 108, 4.8), (-54, -6, 108, 4)],
        "left adrenal vein": [(28, -32, 118, 2), (34, -18, 140, 1.8), (34, -8, 162, 1.6)],
        "left lumbar vein": [(28, -32, 118, 2.2), (22, -18, 106, 2.2), (27, 0, 98, 1.8)],
    },
    "portal_vein": {
        "superior mesenteric vein": _MESENTERIC_VEIN,
        "portal vein": [(-12, -54, 126, 6.8), (-24, -50, 144, 7), (-42, -46, 160, 7), (-60, -38, 170, 6)],
        "splenic vein": [(-12, -54, 126, 5.5), (14, -44, 140, 4.5), (46, -22, 154, 4.2), (84, 10, 172, 4)],
        "inferior mesenteric vein": [
            (14, -45, 138, 2.5),
            (24, -50, 96, 2.4),
            (28, -44, 40, 2.2),
            (32, -42, 0, 2.1),
            (28, -20, -46, 1.9),
            (14, 8, -84, 1.6),
        ],
        "left gastric vein": [(-12, -54, 126, 2.2), (10, -56, 160, 2), (24, -44, 188, 1.8)],
        "gastrocolic trunk": [(-11, -62, 98, 2.8), (-24, -74, 98, 2.5), (-48, -80, 92, 1.7)],
        "gastro-epiploic vein": [(-24, -74, 98, 2), (2, -88, 104, 1.9), (40, -94, 114, 1.8), (80, -76, 138, 1.6)],
        "first jejunal vein": [(-11, -62, 98, 2.6), (6, -52, 92, 2.6), (30, -58, 86, 2)],
        "ileocolic vein": [(-28, -68, 30, 2.8), (-52, -52, 8, 2.5), (-78, -38, -18, 2), (-84, -32, -34, 1.4)],
        "left colic vein": [(28, -44, 40, 1.9), (54, -26, 48, 1.9), (92, 0, 78, 1.5)],
    },
}


def abdominal_vessels(physique: Physique) -> list[BodyPart]:
    """Return vessels of all organs but the small bowel's own, as far as the pelvis, and the crura of the diaphragm."""
    shifts = _shifts(physique)
    parts = [
        _vessel(physique, name, rows, blood, shifts)
        for blood, named in _COURSES.items()
        for name, rows in named.items()
    ]
    parts += [*_splenic_hilum(physique), *_gonadal_vessels(physique), *_paraspinal_vessels(physique)]
    for side in (-1, 1):
        crus = [
            (-side * 2, -46, 178, 4),
            (side * 9, -38, 165, 5),
            (side * 16, -28, 140, 4.5),
            (side * 19, -26, 105, 3),
            (side * 17, -28, 78, 2),
        ]
        thick = physique.rng.uniform(0.8, 1.35)
        crura = physique.uneven(physique.tube(np.array(crus) * (1, 1, 1, thick), (1, 1.3, 1)), 1.5, 12)
        parts.append(BodyPart("crus of the diaphragm", "muscle", crura, physique.tissues.muscle))
    return parts


def _shifts(physique: Physique) -> dict[tuple[float, ...], NDArray[np.float64]]:
    """Sample shifts of the inner points of courses from their usual places; branches at these points move along."""
    inner = {row[:3] for named in _COURSES.values() for rows in named.values() for row in rows[1:-1]}
    return {point: physique.rng.normal(0, 2.0, 3) for point in sorted(inner)}


def _vessel(
    physique: Physique,
    name: str,
    rows: list[TubePoint],
    blood: Blood,
    shifts: dict[tuple[float, ...], NDArray[np.float64]],
) -> BodyPart:
    """Return one vessel; its inner points and its width are the patient's own."""
    moved = np.array(rows, dtype=float)
    moved[:, :3] += [shifts.get(row[:3], np.zeros(3)) for row in rows]
    moved[:, 3] *= np.exp(physique.rng.normal(0, 0.12))
    return BodyPart(name, "vessel", physique.tube(moved, bend_mm=5.0), getattr(physique.tissues, blood))


def _splenic_hilum(physique: Physique) -> list[BodyPart]:
    rng, parts = physique.rng, []
    kinds: tuple[tuple[str, TubePoint, float], ...] = (
        ("artery", (78, 4, 176, 2), physique.tissues.artery),
        ("vein", (78, 6, 172, 3.4), physique.tissues.portal_vein),
    )
    for kind, root, hu in kinds:
        for _ in range(4):
            end = rng.normal((93, 12, 182), (3, 10, 16))
            parts.append(BodyPart(f"splenic {kind} branch", "twigs", physique.tube([root, (*end, root[3] * 0.6)]), hu))
    for _ in range(3):
        start, end = rng.normal((84, 0, 190), 4), rng.normal((84, -34, 196), 8)
        parts.append(
            BodyPart(
                "short gastric vessel",
                "twigs",
                physique.tube([(*start, 1.5), (*end, 1.1)]),
                physique.tissues.portal_vein,
            )
        )
    return parts


def _gonadal_vessels(physique: Physique) -> list[BodyPart]:
    rng, parts = physique.rng, []
    for side in (-1, 1):
        root: TubePoint = (34, -34, 114, 2.2) if side > 0 else (-27, -44, 92, 2.0)
        last = (side * 48, -26, -92) if physique.sex == "F" else (side * 64, -76, -134)
        middle = rng.normal([(side * 43, -36, 60), (side * 50, -38, 4), (side * 58, -44, -56)], (3, 3, 3))
        radius = rng.uniform(1.3, 2.8)
        course = [root, *((*(float(v) for v in point), radius) for point in middle), (*last, 1.5)]
        parts.append(
            BodyPart("gonadal vein", "vessel", physique.tube(course, bend_mm=6.0), physique.tissues.lower_vein)
        )
        parallel = np.array(course) - (side * 4, 2, 0, 0)
        parallel[:, 3] = 0.9
        parts.append(BodyPart("gonadal artery", "twigs", physique.tube(parallel), physique.tissues.artery))
    return parts


def _paraspinal_vessels(physique: Physique) -> list[BodyPart]:
    """Return lumbar vessels, ascending lumbar veins, sympathetic trunks, and the cisterna chyli."""
    t, rng, parts = physique.tissues, physique.rng, []
    for side in (-1, 1):
        for z in rng.normal((92, 58, 24), 4):
            artery = [(7 + side * 5, -32, z + 4, 1.5), (side * 22, -20, z, 1.4), (side * 29, 4, z - 4, 1.2)]
            vein = [
                (-18 if side < 0 else -12, -28, z - 4, 1.8),
                (side * 23, -17, z - 6, 1.7),
                (side * 30, 6, z - 9, 1.5),
            ]
            parts.append(BodyPart("lumbar artery", "twigs", physique.tube(artery, bend_mm=6.0), t.artery))
            parts.append(BodyPart("lumbar vein", "twigs", physique.tube(vein, bend_mm=6.0), t.lower_vein))
        ascending = [
            (side * 29, 6, -20, 1.5),
            (side * 27, 3, 50, 1.9),
            (side * 25, 2, 120, 1.8),
            (side * 16, 4, 178, 2),
        ]
        parts.append(BodyPart("ascending lumbar vein", "twigs", physique.tube(ascending), t.lower_vein))
        trunk = [(side * 22, -20, z, rng.uniform(0.9, 2.0)) for z in (20, 50, 80, 115)]
        parts.append(BodyPart("sympathetic trunk", "twigs", physique.tube(trunk), t.muscle - 10))
    width = rng.uniform(1.6, 4.0)
    cisterna = [(-1, -14, 150, width * 0.7), (0, -11, 168, width), (2, -2, 192, width * 0.8)]
    return [*parts, BodyPart("cisterna chyli", "vessel", physique.tube(cisterna, bend_mm=6.0), 12.0)]


def mesentery(physique: Physique, course_mm: NDArray[np.float64]) -> list[BodyPart]:
    """Return the arteries and veins that fan out from the mesenteric root, join in arcades and supply the small bowel.

    ``course_mm`` is that of the bowel, (n, 3) LPS mm.
    """
    t = physique.tissues
    branches: dict[str, list[Tubes]] = {"trunk": [], "arcade": [], "end": []}
    veins: dict[str, list[Tubes]] = {"trunk": [], "arcade": [], "end": []}
    count = int(physique.rng.integers(14, 20))
    for n, stretch in enumerate(np.array_split(course_mm, count)):
        share = 0.15 + 0.85 * (n + physique.rng.uniform(0, 1)) / count
        for rows, tubes, width in ((_MESENTERIC_ARTERY, branches, 1.0), (_MESENTERIC_VEIN, veins, 1.35)):
            _fan(physique, _along(physique, rows, share), stretch, tubes, width * physique.rng.uniform(0.85, 1.2))
    parts = []
    for kind, tubes, hu in (("artery", branches, t.artery), ("vein", veins, t.portal_vein)):
        parts += [
            BodyPart(f"mesenteric {kind} {name}", "vessel" if name == "trunk" else "twigs", joined(pieces), hu)
            for name, pieces in tubes.items()
        ]
    return parts


def _along(physique: Physique, rows: list[TubePoint], share: float) -> NDArray[np.float64]:
    at = share * (len(rows) - 1)
    point = np.array([np.interp(at, np.arange(len(rows)), column) for column in np.transpose(rows)])
    return physique.place(point)[:3]


def _fan(
    physique: Physique,
    root: NDArray[np.float64],
    bowel: NDArray[np.float64],
    tubes: dict[str, list[Tubes]],
    width: float,
) -> None:
    """Add one branch from ``root``: to a hub, on to an arcade along the stretch of bowel, and from there its ends."""
    rng = physique.rng
    groups = np.array_split(bowel, max(2, len(bowel) // 5))
    hub = root + 0.5 * (bowel.mean(axis=0) - root) + rng.normal(0, 4, 3)
    arcade = [hub + 0.55 * (group.mean(axis=0) - hub) + rng.normal(0, 2, 3) for group in groups]
    tubes["trunk"].append(_line(rng, root, hub, (1.9 * width, 1.3 * width)))
    for point, group in zip(arcade, groups, strict=True):
        # Branches leave one after the other, not all at one place.
        leaves = hub + rng.uniform(0, 0.5) * (root - hub)
        tubes["arcade"].append(_line(rng, leaves, point, (1.3 * width, 1.0 * width)))
        tubes["end"] += [_line(rng, point, bead, (0.9 * width, 0.6 * width)) for bead in group[::2]]
    for first, second in pairwise(arcade):
        if np.linalg.norm(second - first) < 45:
            tubes["arcade"].append(_line(rng, first, second, (0.9 * width, 0.9 * width)))


def _line(
    rng: np.random.Generator, start: NDArray[np.float64], end: NDArray[np.float64], radii: tuple[float, float]
) -> Tubes:
    """Return a slightly winding vessel between two points, LPS mm."""
    length = float(np.linalg.norm(end - start))
    middle = (start + end) / 2 + rng.normal(0, 0.08 * length + 0.3, 3)
    return tube([(*start, radii[0]), (*middle, (radii[0] + radii[1]) / 2), (*end, radii[1])], bend_mm=7.0)
