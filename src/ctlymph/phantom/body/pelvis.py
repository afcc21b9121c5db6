"""The pelvis: bladder, uterus or prostate, ovaries, iliac vessels with their branches, and muscles of the side wall."""

from __future__ import annotations

import numpy as np

from ctlymph.phantom.body.parts import BodyPart, TubePoint
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Ellipsoid, Intersection, LatticeSolid, Offset, Solid, joined

# Of the left side; the right one is the mirror image.
_ILIAC_ARTERIES: dict[str, list[TubePoint]] = {
    "external iliac artery": [
        (38, -28, -60, 4.8),
        (45, -36, -80, 4.6),
        (53, -50, -102, 4.4),
        (60, -68, -128, 4.4),
        (66, -84, -152, 4.4),
        (72, -88, -190, 4.2),
    ],
    "internal iliac artery": [(38, -28, -60, 4.2), (42, -10, -78, 4), (47, 4, -94, 3.4)],
    "superior gluteal artery": [(47, 4, -94, 2.8), (50, 24, -102, 2.6), (58, 50, -108, 2.2)],
    "inferior gluteal artery": [(47, 4, -94, 2.6), (48, 20, -118, 2.3), (54, 40, -140, 1.8)],
    "obturator artery": [(47, 2, -96, 1.8), (55, -16, -116, 1.6), (52, -44, -138, 1.5)],
    "vesical artery": [(46, 2, -98, 1.8), (42, -14, -116, 1.5), (30, -28, -132, 1.2)],
}
_ILIAC_VEINS: dict[str, list[TubePoint]] = {
    "external iliac vein": [
        (38, -19, -60, 6.2),
        (44, -24, -80, 6),
        (49, -37, -102, 5.8),
        (54, -56, -128, 5.6),
        (57, -77, -152, 5.6),
        (61, -82, -190, 5.2),
    ],
    "internal iliac vein": [(37, -17, -62, 5), (38, 0, -80, 4.6), (43, 12, -96, 4)],
    "superior gluteal vein": [(43, 12, -96, 3.2), (47, 30, -102, 3), (56, 53, -107, 2.5)],
    "inferior gluteal vein": [(43, 12, -96, 3), (44, 26, -118, 2.6), (52, 44, -140, 2.2)],
    "obturator vein": [(43, 8, -98, 2), (52, -12, -118, 2), (50, -40, -140, 1.8)],
    "saphenous vein": [(62, -88, -166, 3.2), (58, -98, -182, 2.8), (54, -100, -210, 2.6)],
}


def pelvic_organs(physique: Physique, space: Solid) -> list[BodyPart]:
    """Return bladder, uterus with ovaries or prostate with seminal vesicles; within ``space``."""
    t, rng = physique.tissues, physique.rng
    full = rng.uniform(0.6, 1.15)
    bladder = physique.ellipsoid((rng.normal(0, 4), -46, -142 + 16 * full), (36 * full + 6, 28 * full, 30 * full))
    outer = LatticeSolid(Intersection((space, physique.uneven(Offset(bladder, rng.uniform(2, 4)), 2.0, 40))), 2.0)
    urine = 350.0 if physique.phase == "delayed" and rng.random() < 0.5 else 6.0
    own = _uterus(physique, space) if physique.sex == "F" else _prostate(physique)
    return [
        *own,
        BodyPart("bladder wall", "organ", outer, t.muscle - 8),
        BodyPart("bladder", "organ", LatticeSolid(Offset(outer, -3.0), 2.0), urine),
    ]


def _uterus(physique: Physique, space: Solid) -> list[BodyPart]:
    t, rng = physique.tissues, physique.rng
    lean = float(rng.normal(0, 9))
    myometrium = t.muscle + (t.kidney - t.muscle) * 0.35
    small = 0.75 if physique.age > 55 else 1.0
    body = physique.ellipsoid(
        (lean, -10, -104), (27 * small, 21 * small, 34 * small), (-35, float(rng.normal(0, 10)), 0)
    )
    cervix = physique.tube([(lean * 0.5, -4, -122, 15), (0, 2, -142, 13), (0, -2, -170, 9)], (1.2, 0.9, 1))
    solids: list[tuple[str, Solid, float]] = [("uterus", body, myometrium), ("cervix", cervix, myometrium - 15)]
    parts = [
        BodyPart(name, "organ", LatticeSolid(Intersection((space, physique.uneven(solid, 3.0, 26))), 2.0), hu)
        for name, solid, hu in solids
    ]
    parts.append(BodyPart("uterine cavity", "organ", _within(body, 0.4), t.muscle - 10))
    for side in (-1, 1):
        middle = rng.normal((side * 42, -16, -96), (5, 6, 6))
        radii = rng.uniform((8, 6, 9), (14, 10, 15)) * small
        ovary = physique.ellipsoid(middle, radii, (0, float(rng.normal(0, 25)), 0))
        parts.append(BodyPart("ovary", "organ", physique.uneven(ovary, 1.5, 12), t.muscle - 5))
        if physique.age < 52:
            follicle = physique.ellipsoid(middle + rng.normal(0, 2, 3), radii * rng.uniform(0.3, 0.65))
            parts.append(BodyPart("follicle", "organ", follicle, 12.0))
        ligament = physique.tube(
            [(lean + side * 20, -24, -90, 2.2), (side * 50, -52, -104, 1.8), (side * 62, -82, -132, 1.8)]
        )
        parts.append(BodyPart("round ligament", "twigs", ligament, t.muscle))
        parts.append(BodyPart("parametrial veins", "twigs", _plexus(physique, (side * 30, -4, -126), 10), t.lower_vein))
    return parts


def _prostate(physique: Physique) -> list[BodyPart]:
    t, rng = physique.tissues, physique.rng
    large = rng.uniform(0.85, 1.35)
    gland = physique.ellipsoid((0, -28, -172), (23 * large, 18 * large, 18 * large))
    parts = [BodyPart("prostate", "organ", LatticeSolid(physique.uneven(gland, 2.0, 20), 2.0), t.muscle + 12)]
    for side in (-1, 1):
        vesicle = physique.tube(
            [(side * 4, -4, -152, 5), (side * 18, -2, -146, 6), (side * 32, 0, -140, 4)], (1, 0.8, 1)
        )
        parts.append(BodyPart("seminal vesicle", "organ", physique.uneven(vesicle, 2.0, 7), t.muscle - 25))
        cord = physique.tube([(side * 62, -80, -138, 3), (side * 40, -96, -164, 5), (side * 24, -98, -190, 6)])
        parts.append(BodyPart("spermatic cord", "twigs", physique.uneven(cord, 2.0, 6), t.fat + 70))
        parts.append(
            BodyPart("periprostatic veins", "twigs", _plexus(physique, (side * 26, -22, -160), 8), t.lower_vein)
        )
    return parts


def pelvic_walls(physique: Physique) -> list[BodyPart]:
    """Return obturator internus, levator ani and piriformis."""
    t, rng, parts = physique.tissues, physique.rng, []
    for side in (-1, 1):
        thick = rng.uniform(0.85, 1.2)
        muscles: dict[str, Solid] = {
            "obturator internus": physique.ellipsoid(
                (side * 62, -10, -146), (9 * thick, 40, 36), (0, side * 6, side * -14)
            ),
            "levator ani": physique.tube(
                [(side * 44, -8, -150, 3.5), (side * 26, 6, -176, 4), (side * 12, 18, -192, 5)], (1, 5, 1)
            ),
            "piriformis": physique.tube([(side * 26, 40, -94, 8), (side * 56, 42, -108, 9)], (1.2, 0.8, 1.4)),
        }
        parts += [
            BodyPart(name, "muscle", physique.uneven(solid, 1.5, 28), t.muscle) for name, solid in muscles.items()
        ]
    return parts


def iliac_vessels(physique: Physique) -> list[BodyPart]:
    """Return external and internal iliac vessels with branches, on into the groins, and the ureters' last part."""
    t, rng, parts = physique.tissues, physique.rng, []
    for side in (-1, 1):
        for named, hu in ((_ILIAC_VEINS, t.lower_vein), (_ILIAC_ARTERIES, t.artery)):
            bow = {tuple(row[:3]): rng.normal(0, 2.0, 3) for rows in named.values() for row in rows[:1] + rows[1:-1]}
            for name, rows in named.items():
                moved = np.array(rows) + [(*bow.get(tuple(row[:3]), (0, 0, 0)), 0) for row in rows]
                if rows[0][2] > -63:
                    moved[0] = rows[0]
                solid = physique.tube(moved * (side, 1, 1, rng.uniform(0.88, 1.15)), bend_mm=6.0)
                parts.append(BodyPart(name, "vessel", solid, hu))
        rectal = _plexus(physique, (side * 22, 26, -126), 8)
        parts.append(BodyPart("mesorectal vessels", "twigs", rectal, (t.lower_vein + t.artery) / 2))
        ureter = [
            (side * 44, -26, -60, 2),
            (side * 46, -2, -100, 2),
            (side * 34, -6, -132, 2),
            (side * 14, -22, -150, 2),
        ]
        parts.append(BodyPart("pelvic ureter", "twigs", physique.tube(ureter), t.kidney_pelvis + 10))
    return parts


def _plexus(physique: Physique, middle: tuple[float, float, float], count: int) -> Solid:
    """Tangle thin veins about a point."""
    rng = physique.rng
    tubes = []
    for _ in range(count):
        points = rng.normal(middle, (8, 11, 14)) + np.cumsum(rng.normal(0, 7, (4, 3)), axis=0)
        tubes.append(physique.tube(np.column_stack([points, np.full(4, rng.uniform(0.6, 1.4))]), bend_mm=6.0))
    return joined(tubes)


def _within(solid: Ellipsoid, share: float) -> Ellipsoid:
    a, b, c = (radius * share for radius in solid.radii_mm)
    return Ellipsoid(solid.centre_mm, (a, b * 0.5, c), solid.axes)
