"""Liver, spleen, kidneys, pancreas, stomach, bowel and their vessels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.parts import Build, Part, Row
from ctlymph.phantom.shapes import Common, Grown, HalfSpace, Sampled, Solid, Tubes, Union, Without, joined
from ctlymph.phantom.trunk import Trunk

_STOMACH = [
    (62, 6, 216, 24),
    (66, -14, 200, 30),
    (66, -42, 172, 28),
    (52, -62, 146, 24),
    (26, -72, 128, 20),
    (0, -68, 124, 15),
    (-20, -60, 126, 9),
]
_DUODENUM = [
    (-20, -60, 126, 9),
    (-38, -50, 128, 11),
    (-50, -36, 112, 12),
    (-52, -28, 86, 12),
    (-44, -34, 66, 11.5),
    (-14, -55, 58, 11),
    (18, -60, 66, 11),
    (36, -58, 84, 11),
]
_PANCREAS = [
    (-32, -48, 104, 12),
    (-26, -52, 120, 13),
    (-4, -60, 130, 9),
    (24, -52, 140, 9.5),
    (54, -28, 152, 10),
    (84, 4, 168, 8),
]
_COLON = [
    (-104, -8, -50, 24),
    (-106, -6, -10, 23),
    (-108, 0, 40, 21),
    (-106, -8, 82, 20),
    (-96, -34, 100, 18),
    (-78, -68, 92, 17),
    (-40, -86, 72, 17),
    (4, -88, 66, 16),
    (50, -84, 84, 17),
    (88, -58, 120, 17),
    (108, -14, 152, 16),
    (114, 10, 140, 15),
    (114, 14, 100, 14),
    (112, 8, 50, 14),
    (108, 0, 5, 13),
    (98, -14, -50, 14),
]
_MESENTERIC_ARTERY = [
    (8, -38, 136, 4.5),
    (4, -50, 124, 4.2),
    (0, -62, 96, 4),
    (-6, -68, 60, 3.5),
    (-24, -70, 26, 2.8),
    (-48, -66, 2, 2),
]
_PORTAL_SYSTEM: dict[str, list[Row]] = {
    "superior mesenteric vein": [
        (-44, -64, 0, 3),
        (-28, -68, 30, 4.5),
        (-14, -66, 62, 5.5),
        (-11, -62, 98, 6),
        (-12, -54, 126, 6.5),
    ],
    "portal vein": [(-12, -54, 126, 6.8), (-24, -50, 144, 7), (-42, -46, 160, 7), (-60, -38, 170, 6)],
    "splenic vein": [(-12, -54, 126, 5.5), (14, -44, 140, 4.5), (46, -22, 154, 4.2), (84, 10, 172, 4)],
    "inferior mesenteric vein": [(14, -45, 138, 2.5), (24, -50, 96, 2.2), (26, -44, 40, 2)],
}
_COELIAC: dict[str, list[Row]] = {
    "coeliac trunk": [(8, -30, 152, 4.2), (8, -46, 154, 4), (6, -52, 156, 3.6)],
    "common hepatic artery": [(6, -52, 156, 3), (-14, -58, 152, 2.8), (-34, -54, 160, 2.2)],
    "splenic artery": [(6, -52, 156, 3.2), (30, -36, 160, 3), (52, -24, 162, 3), (80, 6, 178, 2.6)],
    "left gastric artery": [(7, -50, 156, 2.2), (16, -46, 176, 2), (28, -36, 196, 1.6)],
    "inferior mesenteric artery": [(8, -46, 52, 2.2), (16, -50, 32, 2), (24, -46, 0, 1.8)],
}
_RENAL: dict[str, tuple[str, list[Row]]] = {
    "left renal artery": ("artery", [(14, -34, 120, 2.8), (32, -16, 118, 2.6), (50, -2, 118, 2.2)]),
    "right renal artery": ("artery", [(2, -30, 118, 2.8), (-26, -22, 116, 2.6), (-50, -2, 110, 2.2)]),
    "left renal vein": ("vein", [(-20, -40, 116, 5), (8, -47, 118, 4), (28, -32, 118, 5), (50, -8, 116, 4)]),
    "right renal vein": ("vein", [(-28, -34, 110, 5), (-42, -18, 108, 4.8), (-54, -6, 108, 4)]),
}


def abdominal_parts(trunk: Trunk, below: Solid) -> list[Part]:
    """Give the abdominal organs in painting order; ``below`` is what lies under the diaphragm."""
    build, t = trunk.build, trunk.build.tissues
    inside = Grown(trunk.cavity, -2.0)
    return [
        *_liver(build, Common((inside, Grown(below, -3.0)))),
        *_kidneys(build, inside),
        *_vessels(trunk),
        Part("pancreas", "organ", Sampled(build.uneven(build.tube(_PANCREAS), 3.0, 14), 2.0), t.pancreas),
        *_stomach_and_duodenum(build, Common((inside, Grown(below, -3.0)))),
        *_spleen(build, Common((inside, Grown(below, -3.0)))),
        *_colon(build, inside),
        *_small_bowel(build, inside),
    ]


def _liver(build: Build, room: Solid) -> list[Part]:
    t = build.tissues
    lobes = Union(
        (
            build.ellipsoid((-82, -22, 172), (74, 84, 92), (0, 6, 0)),
            build.ellipsoid((-18, -62, 204), (74, 38, 42), (0, -18, 8)),
            build.ellipsoid((-24, -24, 186), (22, 16, 26)),
        ),
        20.0,
    )
    # The visceral surface looks down, left and back.
    hollow = (
        build.ellipsoid((18, -30, 105), (78, 70, 68)),
        build.ellipsoid((-56, 34, 98), (42, 56, 72)),
        build.tube([(8, -4, 250, 26), (6, -12, 200, 25), (2, -18, 150, 28)]),
    )
    liver = Sampled(build.uneven(Common((room, Without(lobes, hollow))), 4.0, 60), 2.5)
    gallbladder = build.ellipsoid((-56, -72, 112), (14, 17, 27), (20, 12, 0))
    parts = [Part("liver", "organ", liver, t.liver)]
    for name, tree, hu in (
        ("hepatic veins", _hepatic_veins(build), t.vein),
        ("portal branches", _portal_branches(build), t.portal_vein),
    ):
        parts.append(Part(name, "twigs", Common((Sampled(tree, 1.6, margin_mm=3), Grown(liver, -3.0))), hu))
    return [
        *parts,
        Part("gallbladder wall", "organ", Grown(gallbladder, 1.5), t.bowel_wall),
        Part("gallbladder", "organ", gallbladder, t.bile),
    ]


def _hepatic_veins(build: Build) -> Tubes:
    top = (-28, -36, 232)
    ends = [(-110, 0, 190), (-95, -58, 205), (-60, -80, 190), (12, -72, 212), (-80, 25, 200)]
    return joined(
        [
            build.tube([(*top, 5), (*(np.array(top) * 0.45 + np.array(end) * 0.55 + (0, 0, 6)), 3.5), (*end, 1.6)])
            for end in ends
        ]
    )


def _portal_branches(build: Build) -> Tubes:
    root = np.array((-60, -38, 170))
    ends = [(-112, -10, 148), (-100, -62, 160), (-104, 18, 180), (-90, -40, 210), (-78, 22, 140), (-110, -30, 120)]
    tubes = [build.tube([(*root, 5.5), (*(root * 0.5 + np.array(end) * 0.5), 3.6), (*end, 1.8)]) for end in ends]
    return joined([*tubes, build.tube([(*root, 5), (-40, -64, 186, 4), (-6, -76, 200, 3), (16, -78, 208, 2)])])


def _spleen(build: Build, room: Solid) -> list[Part]:
    pulp = build.ellipsoid((106, 26, 186), (33, 48, 58), (16, -8, -22))
    hollow = build.ellipsoid((64, -8, 184), (38, 46, 56))
    return [
        Part(
            "spleen",
            "organ",
            Sampled(build.uneven(Common((room, Without(pulp, (hollow,)))), 2.5, 40), 2.0),
            build.tissues.spleen,
        )
    ]


def _kidneys(build: Build, room: Solid) -> list[Part]:
    t = build.tissues
    parts = []
    for side, centre in ((-1, (-63, 8, 108)), (1, (64, 10, 120))):
        x, y, z = centre
        kidney = build.ellipsoid(centre, (25, 26, 55), (8, side * 10, side * 28))
        sinus = build.ellipsoid((x - side * 17, y - 11, z), (15, 13, 27), (0, side * 10, side * 28))
        whole = Sampled(Common((room, build.uneven(kidney, 2.0, 35))), 2.0)
        parts += [
            Part("perirenal fat", "fat", Grown(kidney, 6.0), t.fat),
            Part("kidney", "organ", whole, t.kidney),
            Part("renal sinus", "organ", Sampled(build.uneven(sinus, 4.0, 18), 1.6), t.fat + 15),
            Part(
                "renal pelvis",
                "organ",
                build.tube(
                    [
                        (x - side * 8, y - 6, z + 16, 3.5),
                        (x - side * 14, y - 10, z, 5),
                        (x - side * 9, y - 7, z - 16, 3.5),
                    ]
                ),
                t.kidney_pelvis,
            ),
            Part(
                "ureter",
                "organ",
                build.tube(
                    [
                        (x - side * 15, y - 11, z, 3.0),
                        (x - side * 24, y - 18, z - 40, 2.2),
                        (side * 42, -24, 20, 2),
                        (side * 44, -26, -60, 2),
                    ]
                ),
                t.kidney_pelvis + 10,
            ),
            Part(
                "adrenal",
                "organ",
                joined(
                    [
                        build.tube([(side * 30, -10, 178, 2.6), (side * 36, 0, 166, 2.2), (side * 34, 4, 158, 2)]),
                        build.tube([(side * 30, -10, 178, 2.6), (side * 44, -4, 164, 2.0)]),
                    ]
                ),
                t.muscle,
            ),
        ]
    return parts


def _vessels(trunk: Trunk) -> list[Part]:
    build, t = trunk.build, trunk.build.tissues
    parts = [Part(name, "vessel", build.tube(rows), t.portal_vein) for name, rows in _PORTAL_SYSTEM.items()]
    parts += [
        Part(name, "vessel", build.tube(rows), t.artery if kind == "artery" else t.vein)
        for name, (kind, rows) in _RENAL.items()
    ]
    parts += [Part(name, "vessel", build.tube(rows), t.artery) for name, rows in _COELIAC.items()]
    parts.append(Part("superior mesenteric artery", "vessel", build.tube(_MESENTERIC_ARTERY), t.artery))
    parts += [Part("mesenteric branches", "twigs", _mesenteric_branches(build), t.portal_vein - 10)]
    for side in (-1, 1):
        crus = [
            (-side * 2, -46, 178, 4),
            (side * 9, -38, 165, 5),
            (side * 16, -28, 140, 4.5),
            (side * 19, -26, 105, 3),
            (side * 17, -28, 78, 2),
        ]
        parts.append(Part("crus of the diaphragm", "muscle", build.tube(crus, (1, 1.3, 1)), t.muscle))
    return parts


def _mesenteric_branches(build: Build) -> Tubes:
    """Give the fan of thin vessels from the mesenteric root towards the bowel."""
    tubes = []
    for _ in range(16):
        share = build.rng.uniform(0.25, 1)
        at = np.array([np.interp(share * 5, range(6), column) for column in np.transpose(_MESENTERIC_ARTERY)])[:3]
        end = np.array([build.rng.uniform(-80, 88), build.rng.uniform(-84, -50), build.rng.uniform(-45, 70)])
        middle = (at + end) / 2 + build.rng.normal(0, 6, 3)
        tubes.append(build.tube([(*at, 2.0), (*middle, 1.6), (*end, 1.0)]))
    return joined(tubes)


def _stomach_and_duodenum(build: Build, room: Solid) -> list[Part]:
    t = build.tissues
    wall = Sampled(Common((room, build.uneven(build.tube(_STOMACH), 2.5, 45))), 2.0)
    lumen = Sampled(build.uneven(Grown(wall, -4.0), 1.8, 14), 2.0)
    level = float(build.place((60, -46, 160))[1])
    duodenum = build.tube(_DUODENUM)
    return [
        Part("stomach wall", "bowel", wall, t.bowel_wall),
        Part("stomach content", "bowel", lumen, (t.bowel_fluid + t.oral_contrast) / 2),
        Part("gas in the stomach", "bowel", Common((lumen, HalfSpace((0, level, 0), (0, 1, 0)))), t.air),
        Part("duodenum wall", "bowel", duodenum, t.bowel_wall),
        Part("duodenum content", "bowel", Sampled(build.uneven(Grown(duodenum, -3.0), 2.0, 12), 1.6), t.oral_contrast),
    ]


def _colon(build: Build, room: Solid) -> list[Part]:
    """Give the colon, pinched into haustra, with stool, contrast and gas."""
    t = build.tissues
    whole = build.tube(_COLON)
    along = np.arange(len(whole.radii_mm) + 1) * 8.0
    pinch = 1 - 0.2 * np.maximum(0, np.sin(along * 2 * np.pi / 34 + build.rng.uniform(0, 6))) ** 2
    tubes = Tubes(whole.starts_mm, whole.ends_mm, whole.radii_mm * np.stack([pinch[:-1], pinch[1:]], axis=1))
    wall = Sampled(Common((room, build.uneven(tubes, 2.0, 30))), 2.0)
    lumen = Grown(wall, -2.2)
    clumps = _clumps(build, tubes, 260, (3.0, 8.0))
    bubbles = _clumps(build, tubes, 420, (0.9, 3.2))
    high = HalfSpace((0, float(build.place((0, -78, 70))[1]), 0), (0, 1, 0))
    return [
        Part("colon wall", "bowel", wall, t.bowel_wall),
        Part("colon content", "bowel", lumen, -60 if t.oral_contrast < 100 else 40),
        Part("stool", "bowel", Common((clumps, lumen)), t.oral_contrast * 0.6 + 10),
        Part("bubbles in the stool", "bowel", Common((bubbles, lumen)), -700),
        Part("gas in the colon", "bowel", Common((lumen, high)), t.air),
    ]


def _clumps(build: Build, tubes: Tubes, count: int, radii: tuple[float, float]) -> Tubes:
    """Scatter short worms within tubes."""
    rng = build.rng
    piece = rng.integers(0, len(tubes.starts_mm), count)
    reach = tubes.radii_mm.mean(axis=1)[piece, None]
    points = tubes.starts_mm[piece] + rng.normal(0, 0.5, (count, 3)) * reach
    size = rng.uniform(*radii, (count, 1))
    return Tubes(points, points + rng.normal(0, 1, (count, 3)) * size, np.repeat(size, 2, axis=1))


def _small_bowel(build: Build, room: Solid) -> list[Part]:
    """Give loops of small bowel about the mesentery, some with contrast, some collapsed, few with gas."""
    t, rng = build.tissues, build.rng
    parts: list[Part] = []
    for loop, rows in enumerate(_loops(rng)):
        loop_wall = Sampled(Common((room, build.uneven(build.tube(rows), 1.5, 16))), 1.8)
        filling = rng.choice(["contrast", "fluid", "collapsed"], p=[0.4, 0.35, 0.25])
        parts.append(Part(f"small bowel {loop + 1}", "bowel", loop_wall, t.bowel_wall))
        if filling != "collapsed":
            lumen = Sampled(build.uneven(Grown(loop_wall, -2.6), 1.6, 9), 1.6)
            parts.append(
                Part("small bowel content", "bowel", lumen, t.oral_contrast if filling == "contrast" else t.bowel_fluid)
            )
            if rng.random() < 0.35:
                x, y, z, radius = rows[len(rows) // 2]
                level = float(build.place((x, y - radius * 0.2, z))[1])
                parts.append(
                    Part("gas in the small bowel", "bowel", Common((lumen, HalfSpace((0, level, 0), (0, 1, 0)))), t.air)
                )
    return parts


def _loops(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Draw winding tubes in the places that colon, stomach and retroperitoneum leave."""
    homes = [
        # x, y, z of the middle, half lengths of the winding along x and z.
        (62, -62, 48, 22, 24),
        (76, -30, 60, 12, 36),
        (66, -50, -20, 24, 24),
        (20, -84, 18, 26, 12),
        (-50, -80, 24, 24, 24),
        (-62, -44, 14, 20, 24),
        (14, -78, -36, 26, 12),
        (-44, -62, -40, 26, 12),
        (58, -84, -12, 22, 24),
        (-66, -64, 50, 12, 12),
        (26, -58, -22, 22, 12),
        (-52, -84, -14, 24, 12),
        (70, -54, 92, 12, 12),
    ]
    loops = []
    for x, y, z, wide, high in homes:
        count = 2 * (high // 12 + 1)
        across = np.where(np.arange(count) // 2 % 2 == np.arange(count) % 2, -1.0, 1.0) * wide
        up = np.repeat(np.linspace(-high, high, count // 2), 2)[:count]
        centre = np.stack([x + across, np.full(count, y, dtype=float), z + up], axis=1)
        centre += rng.normal(0, (5, 6, 3), (count, 3))
        radius = np.clip(rng.normal(12, 1.2, (count, 1)), 9, 14.5)
        loops.append(np.concatenate([centre, radius], axis=1))
    return loops
