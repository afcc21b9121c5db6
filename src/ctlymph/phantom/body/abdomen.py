"""Liver, spleen, kidneys, pancreas; and all of the abdomen and pelvis in painting order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.body.abdominal_vessels import abdominal_vessels, mesentery
from ctlymph.phantom.body.bowel import colon, small_bowel, stomach_and_duodenum
from ctlymph.phantom.body.loops import FreeSpace
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.pelvis import iliac_vessels, pelvic_organs, pelvic_walls
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Intersection, LatticeSolid, Offset, Solid, Subtraction, Tubes, Union, joined
from ctlymph.phantom.body.trunk import Trunk

_PANCREAS = [
    (-16, -46, 80, 2.5),
    (-26, -46, 92, 9),
    (-34, -47, 106, 12),
    (-26, -52, 120, 13),
    (-4, -60, 130, 9),
    (24, -52, 140, 9.5),
    (54, -28, 152, 10),
    (84, 4, 168, 8),
]


def abdominal_parts(trunk: Trunk, below: Solid) -> list[BodyPart]:
    """Return the organs of abdomen and pelvis in painting order; ``below`` is what lies under the diaphragm."""
    physique = trunk.physique
    inside = Offset(trunk.cavity, -2.0)
    under = Intersection((inside, Offset(below, -3.0)))
    large_bowel = colon(physique, inside)
    flexures = Union(tuple(part.solid for part in large_bowel if part.name.endswith("colon wall")))
    outside_colon = Subtraction(under, (LatticeSolid(Offset(flexures, 2.0), 2.5),))
    kidneys = _kidneys(physique, inside)
    outside_kidneys = Subtraction(outside_colon, tuple(part.solid for part in kidneys if part.kind == "fat"))
    organs = [*_liver(physique, outside_colon), *kidneys]
    pelvis = [*pelvic_walls(physique), *pelvic_organs(physique, inside)]
    hollow = [*stomach_and_duodenum(physique, outside_colon), *_spleen(physique, outside_kidneys), *large_bowel]
    pancreas = _pancreas(physique)
    closed = [part.solid for part in (*organs, pancreas, *pelvis, *hollow) if part.kind in ("fat", "organ", "bowel")]
    small = small_bowel(
        physique, _bowel_space(physique, Intersection((Offset(trunk.cavity, -2.0), Offset(below, -4.0))), closed)
    )
    return [
        *organs,
        *_strands(physique),
        *mesentery(physique, small.course_mm),
        *pelvis,
        *iliac_vessels(physique),
        *abdominal_vessels(physique),
        pancreas,
        *hollow,
        *small.parts,
    ]


def _bowel_space(physique: Physique, within: Solid, closed: list[Solid]) -> FreeSpace:
    """Find the room of small bowel: not behind the peritoneum, and not where the mesentery's fat is."""
    rows = [(z, y) for z, y in ((150, 6), (120, 0), (60, -8), (0, -6), (-40, 0), (-66, 20), (-100, 44), (-190, 40))]
    behind = physique.tube([(0, y - 6, z, 40) for z, y in rows], (1.35, 1, 1))
    fat = float(np.clip(physique.visceral_fat, 0.5, 1.8))
    spaces = [
        [(4, -56, 120, 14), (2, -64, 84, 13), (0, -66, 50, 13), (-22, -66, 16, 11), (-60, -54, -6, 10)],
        [(4, -64, 72, 12), (24, -66, 36, 12), (34, -66, 14, 9)],
        [(20, -46, 164, 16), (-28, -50, 144, 16)],
        [(60, -14, 90, 12), (70, -20, 40, 14), (64, -26, 4, 12)],
    ]
    root = [physique.tube(np.array(rows) * (1, 1, 1, fat**0.6), (1.2, 1, 1)) for rows in spaces]
    box = physique.place((-126, -106, -150)), physique.place((126, 20, 168))
    omentum = Offset(within, -2.0 * fat)
    return FreeSpace.between(
        omentum, [behind, *root, *_iliac_fossae(physique), *(Offset(solid, 1.5 * fat) for solid in closed)], box
    )


def _iliac_fossae(physique: Physique) -> list[Solid]:
    """Return the muscles of both iliac fossae, and the vessels before them with their fat."""
    closed: list[Solid] = []
    for side in (-1, 1):
        external = [(30, -36, -20, 13), (44, -32, -72, 15), (52, -44, -102, 15), (64, -76, -140, 14)]
        internal = [(46, 0, -84, 16), (48, 8, -110, 16)]
        psoas = [(47, -4, 10, 25), (58, -12, -50, 25), (80, -44, -105, 22)]
        iliacus = [(108, 4, -8, 14), (100, -8, -60, 20), (92, -40, -106, 18)]
        closed += [physique.tube(np.array(rows) * (side, 1, 1, 1)) for rows in (external, internal, psoas)]
        closed.append(physique.tube(np.array(iliacus) * (side, 1, 1, 1), (1, 1.9, 1)))
    return closed


def _strands(physique: Physique) -> list[BodyPart]:
    """Return the thin vessels and septa of omentum, mesocolon, perirenal and pelvic fat."""
    t, rng = physique.tissues, physique.rng
    places = (
        ((0, -94, 40), (60, 5, 50), 26, 1.0),
        ((70, -30, 60), (24, 30, 50), 16, 0.9),
        ((-60, -40, 40), (24, 24, 40), 14, 0.9),
        ((66, 10, 110), (26, 24, 40), 16, 0.7),
        ((-66, 10, 100), (26, 24, 40), 16, 0.7),
        ((0, -10, -110), (38, 30, 24), 26, 0.9),
        ((0, -46, 170), (44, 16, 20), 16, 0.9),
    )
    tubes = []
    for middle, spread, count, radius in places:
        for _ in range(count):
            course = rng.normal(middle, spread) + np.cumsum(rng.normal(0, 9, (4, 3)), axis=0)
            width = radius * rng.uniform(0.5, 1.3)
            tubes.append(physique.tube(np.column_stack([course, np.full(4, width)]), bend_mm=8.0))
    half = len(tubes) // 2
    return [
        BodyPart("omental vessels", "twigs", joined(tubes[:half:2] + tubes[half::2]), t.portal_vein),
        BodyPart("strands in fat", "twigs", joined(tubes[1:half:2] + tubes[half + 1 :: 2]), t.fat + 80),
    ]


def _pancreas(physique: Physique) -> BodyPart:
    """Return the pancreas, more lobulated and fatty with age."""
    rng, wasted = physique.rng, (physique.age - 20) / 70
    course = np.array(_PANCREAS) * (1, 1, 1, 1.1 - 0.3 * wasted)
    course[4:, :3] += rng.normal(0, 3, (len(course) - 4, 3))
    lobes = physique.uneven(physique.uneven(physique.tube(course, bend_mm=6.0), 2.5, 22), 1.5 + 2.0 * wasted, 8)
    return BodyPart("pancreas", "organ", LatticeSolid(lobes, 1.6), physique.tissues.pancreas - 12 * wasted)


def _liver(physique: Physique, space: Solid) -> list[BodyPart]:
    t = physique.tissues
    lobes = Union(
        (
            physique.ellipsoid((-82, -22, 172), (74, 84, 92), (0, 6, 0)),
            physique.ellipsoid((-18, -62, 204), (74, 38, 42), (0, -18, 8)),
            physique.ellipsoid((-24, -24, 186), (22, 16, 26)),
        ),
        20.0,
    )
    # The visceral surface looks down, left and back.
    hollow = (
        physique.ellipsoid((18, -30, 105), (78, 70, 68)),
        physique.ellipsoid((-50, 32, 92), (32, 46, 56)),
        physique.ellipsoid((-52, -34, 82), (32, 46, 32)),
        physique.tube([(10, -4, 250, 22), (8, -12, 200, 20), (4, -18, 150, 26)]),
        physique.tube(
            [(-12, -54, 132, 18), (-30, -50, 148, 13), (-46, -46, 160, 9), (-60, -40, 168, 6)], (1.2, 0.9, 1)
        ),
    )
    liver = LatticeSolid(physique.uneven(Intersection((space, Subtraction(lobes, hollow))), 4.0, 60), 2.5)
    gallbladder = physique.ellipsoid((-56, -72, 112), (14, 17, 27), (20, 12, 0))
    parts = [BodyPart("liver", "organ", liver, t.liver)]
    for name, tree, hu in (
        ("hepatic veins", _hepatic_veins(physique), t.vein),
        ("portal branches", _portal_branches(physique), t.portal_vein),
    ):
        parts.append(
            BodyPart(name, "twigs", Intersection((LatticeSolid(tree, 1.6, margin_mm=3), Offset(liver, -3.0))), hu)
        )
    cava = physique.tube([(-28, -38, 150, 10.5), (-28, -37, 205, 11), (-28, -37, 242, 11)], (1.15, 0.85, 1))
    return [
        *parts,
        BodyPart("vena cava behind the liver", "vessel", cava, t.vein),
        BodyPart("gallbladder wall", "organ", Offset(gallbladder, 1.5), t.bowel_wall),
        BodyPart("gallbladder", "organ", gallbladder, t.bile),
    ]


def _hepatic_veins(physique: Physique) -> Tubes:
    top = (-28, -36, 232)
    ends = [(-110, 0, 190), (-95, -58, 205), (-60, -80, 190), (12, -72, 212), (-80, 25, 200)]
    limbs = [
        np.array([(*top, 5), (*(np.array(top) * 0.45 + np.array(end) * 0.55 + (0, 0, 6)), 3.5), (*end, 1.6)])
        for end in ends
    ]
    return joined([tube for limb in limbs for tube in _branched(physique, limb)])


def _portal_branches(physique: Physique) -> Tubes:
    root = np.array((-60, -38, 170))
    ends = [(-112, -10, 148), (-100, -62, 160), (-104, 18, 180), (-90, -40, 210), (-78, 22, 140), (-110, -30, 120)]
    limbs = [np.array([(*root, 5.5), (*(root * 0.5 + np.array(end) * 0.5), 3.6), (*end, 1.8)]) for end in ends]
    limbs.append(np.array([(*root, 5), (-40, -64, 186, 4), (-6, -76, 200, 3), (16, -78, 208, 2)]))
    return joined([tube for limb in limbs for tube in _branched(physique, limb)])


def _branched(physique: Physique, limb: NDArray[np.float64]) -> list[Tubes]:
    """Return a vessel of the liver through standard points with radii, and twigs that leave it on all sides."""
    rng = physique.rng
    tubes = [physique.tube(limb)]
    for share in rng.uniform(0.25, 1.0, 7):
        at = share * (len(limb) - 1)
        x, y, z, radius = (float(np.interp(at, np.arange(len(limb)), column)) for column in limb.T)
        aside = rng.normal(0, 1, 3) + (limb[-1, :3] - limb[0, :3]) / 90
        end = np.array((x, y, z)) + aside / np.linalg.norm(aside) * rng.uniform(18, 42)
        middle = (np.array((x, y, z)) + end) / 2 + rng.normal(0, 3, 3)
        tubes.append(physique.tube([(x, y, z, 0.65 * radius), (*middle, 0.5 * radius), (*end, 0.8)]))
    return tubes


def _spleen(physique: Physique, space: Solid) -> list[BodyPart]:
    large = physique.rng.uniform(0.95, 1.3)
    pulp = physique.ellipsoid((103, 24, 180), np.array((36, 50, 60)) * large, (16, -8, -22))
    hollow = physique.ellipsoid((62, -12, 184), (38, 46, 56))
    return [
        BodyPart(
            "spleen",
            "organ",
            LatticeSolid(physique.uneven(Intersection((space, Subtraction(pulp, (hollow,)))), 2.5, 40), 2.0),
            physique.tissues.spleen,
        )
    ]


def _kidneys(physique: Physique, space: Solid) -> list[BodyPart]:
    t = physique.tissues
    parts = []
    for side, centre in ((-1, (-63, 10, 102)), (1, (64, 10, 120))):
        x, y, z = centre
        kidney = physique.ellipsoid(centre, (25, 26, 55), (8, side * 10, side * 28))
        sinus = physique.ellipsoid((x - side * 17, y - 11, z), (15, 13, 27), (0, side * 10, side * 28))
        whole = LatticeSolid(Intersection((space, physique.uneven(kidney, 2.0, 35))), 2.0)
        parts += [
            BodyPart("perirenal fat", "fat", _perirenal(physique, centre, side), t.fat),
            BodyPart("kidney", "organ", whole, t.kidney),
            *_pyramids(physique, whole, np.array(centre) - (side * 10, 5, 0)),
            BodyPart("renal sinus", "organ", LatticeSolid(physique.uneven(sinus, 4.0, 18), 1.6), t.fat + 15),
            BodyPart("vessels of the renal sinus", "twigs", _sinus_vessels(physique, np.array(centre), side), t.vein),
            BodyPart(
                "renal pelvis",
                "organ",
                physique.tube(
                    [
                        (x - side * 8, y - 6, z + 16, 3.5),
                        (x - side * 14, y - 10, z, 5),
                        (x - side * 9, y - 7, z - 16, 3.5),
                    ]
                ),
                t.kidney_pelvis,
            ),
            BodyPart(
                "ureter",
                "organ",
                physique.tube(
                    [
                        (x - side * 15, y - 11, z, 3.0),
                        (x - side * 24, y - 18, z - 40, 2.2),
                        (side * 42, -24, 20, 2),
                        (side * 44, -26, -60, 2),
                    ]
                ),
                t.kidney_pelvis + 10,
            ),
            BodyPart(
                "adrenal",
                "organ",
                joined(
                    [
                        physique.tube([(side * 30, -10, 180, 2.8), (side * 34, 2, 166, 2.4), (side * 32, 8, 152, 2)]),
                        physique.tube([(side * 30, -10, 178, 2.6), (side * 46, 0, 168, 2.2), (side * 50, 4, 158, 1.8)]),
                    ]
                ),
                t.muscle,
            ),
        ]
    return parts


def _perirenal(physique: Physique, centre: tuple[float, float, float], side: int) -> Solid:
    """Return the fat about a kidney: most of it behind, and in those who are fat."""
    x, y, z = centre
    thick = 2.0 + 4.0 * physique.visceral_fat
    radii = (25 + thick, 26 + thick, 55 + 0.6 * thick)
    return physique.uneven(physique.ellipsoid((x, y + 0.6 * thick, z), radii, (8, side * 10, side * 28)), 2.0, 45)


def _pyramids(physique: Physique, kidney: Solid, middle: NDArray[np.float64]) -> list[BodyPart]:
    """Return the medulla, which takes up contrast later than the cortex: pyramids set about the sinus."""
    t, rng = physique.tissues, physique.rng
    late = {"arterial": 0.55, "portal venous": float(rng.uniform(0.0, 0.3))}.get(physique.phase, 0.0)
    if late < 0.1:
        return []
    pyramids = []
    for z in (-30, -16, 0, 16, 30):
        for turn in rng.normal((-1.9, -0.6, 0.6, 1.9), 0.2):
            out = np.array((np.sin(turn) * (-1 if middle[0] < 0 else 1) * 0.8, np.cos(turn), 0.03 * z))
            start, end = middle + (0, 0, z) + out * 8, middle + (0, 0, 1.2 * z) + out * 22
            pyramids.append(physique.tube([(*start, 2.5), (*end, 6.0)]))
    inner = Intersection((Offset(kidney, -6.0), joined(pyramids)))
    return [BodyPart("renal medulla", "organ", LatticeSolid(inner, 1.6), t.kidney - late * (t.kidney - 32))]


def _sinus_vessels(physique: Physique, middle: NDArray[np.float64], side: int) -> Tubes:
    """Return the veins that run from the calyces to the hilum."""
    rng = physique.rng
    tubes = []
    for z in np.linspace(-20, 20, 6) + rng.normal(0, 3, 6):
        end = middle - (side * 5, 3, 0) + rng.normal(0, (3, 4, 3)) + (0, 0, z)
        start = middle - (side * 22, 12, 0) + (0, 0, 0.35 * z)
        tubes.append(physique.tube([(*start, 1.8), (*((start + end) / 2 + rng.normal(0, 2, 3)), 1.5), (*end, 0.9)]))
    return joined(tubes)
