"""Airways, heart, great vessels, oesophagus, and the lungs that hug them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ctlymph.phantom.body.heart import heart_parts
from ctlymph.phantom.body.lung_structures import lung_contents
from ctlymph.phantom.body.parts import BodyPart, Kind, TubePoint
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
from ctlymph.phantom.body.trunk import Trunk

_TRACHEA = [(0, -20, 470, 9), (-2, -21, 410, 9), (-5, -17, 375, 9), (-3, -12, 348, 9.5)]
_BRONCHI: dict[str, list[TubePoint]] = {
    "right main bronchus": [
        (-3, -12, 347, 8),
        (-19, -5, 332, 7),
        (-33, 1, 318, 6),
        (-40, 6, 296, 5),
        (-50, 14, 272, 3.5),
    ],
    "right upper lobe bronchus": [(-19, -5, 332, 5.5), (-38, -3, 336, 5), (-58, -4, 345, 3.5)],
    "middle lobe bronchus": [(-37, 3, 306, 4), (-52, -14, 294, 3.2), (-66, -30, 284, 2.4)],
    "left main bronchus": [
        (-3, -12, 347, 7.5),
        (20, -3, 330, 6.5),
        (42, 5, 317, 6),
        (49, 13, 298, 4.8),
        (60, 22, 272, 3.4),
    ],
    "left upper lobe bronchus": [(41, 4, 318, 5), (56, -8, 324, 4), (68, -18, 338, 3)],
}
_ARTERIES: dict[str, list[TubePoint]] = {
    "ascending aorta": [(2, -44, 296, 15), (-10, -49, 315, 15.5), (-15, -47, 335, 15), (-10, -44, 354, 14.5)],
    "aortic arch": [
        (-10, -44, 354, 14.5),
        (6, -36, 366, 13.5),
        (21, -18, 369, 12.8),
        (27, 0, 361, 12.8),
        (26, 10, 346, 12.5),
    ],
    "descending aorta": [
        (26, 10, 346, 12.5),
        (25, 11, 320, 12.3),
        (22, 7, 285, 12),
        (18, 0, 250, 12),
        (12, -10, 215, 11.5),
        (8, -20, 185, 11),
    ],
    "abdominal aorta": [(8, -20, 185, 11), (7, -29, 150, 10.5), (8, -36, 110, 9.8), (8, -40, 60, 9), (6, -39, 20, 8.5)],
    "right common iliac artery": [(6, -39, 20, 6.5), (-14, -37, -8, 5.6), (-36, -28, -60, 5.2)],
    "left common iliac artery": [(6, -39, 20, 6.5), (22, -37, -8, 5.6), (40, -28, -60, 5.2)],
    "brachiocephalic artery": [
        (-2, -40, 362, 7),
        (-11, -33, 382, 6.5),
        (-20, -25, 400, 6),
        (-32, -18, 414, 5),
        (-58, -14, 418, 4.5),
    ],
    "right carotid artery": [(-21, -24, 401, 4), (-23, -24, 430, 3.8), (-25, -22, 470, 3.6)],
    "left carotid artery": [(10, -32, 367, 5), (15, -24, 390, 4.2), (21, -23, 425, 3.8), (25, -22, 470, 3.6)],
    "right vertebral artery": [(-40, -14, 414, 2), (-24, -4, 428, 2), (-19, -2, 470, 1.9)],
    "left vertebral artery": [(36, -8, 410, 2), (24, -4, 428, 2.1), (19, -2, 470, 2)],
    "left subclavian artery": [(22, -12, 370, 5.5), (27, -4, 392, 5), (38, -6, 410, 4.8), (58, -14, 418, 4.5)],
}
_LUNG_ARTERIES: dict[str, list[TubePoint]] = {
    "pulmonary trunk": [(22, -62, 292, 14), (21, -54, 312, 14), (20, -40, 327, 13.5)],
    "left pulmonary artery": [
        (20, -40, 327, 12.5),
        (33, -20, 337, 11),
        (47, 0, 333, 10),
        (55, 12, 316, 8),
        (62, 20, 296, 5.5),
    ],
    "right pulmonary artery": [
        (18, -36, 325, 11),
        (-4, -24, 324, 10),
        (-26, -19, 320, 9.5),
        (-46, -10, 312, 8.5),
        (-56, 0, 294, 5.5),
    ],
}
_VEINS: dict[str, list[TubePoint]] = {
    "superior vena cava": [(-33, -34, 378, 8), (-36, -31, 350, 8.8), (-35, -32, 322, 9.2), (-33, -36, 300, 10)],
    "left brachiocephalic vein": [
        (55, -30, 412, 5.5),
        (38, -38, 402, 6),
        (12, -55, 388, 6.2),
        (-16, -50, 380, 6.5),
        (-32, -36, 374, 7),
    ],
    "right brachiocephalic vein": [(-55, -30, 412, 5.5), (-36, -36, 396, 6.5), (-33, -35, 376, 7.5)],
    "left superior intercostal vein": [(22, 26, 350, 1.6), (40, 8, 360, 1.6), (37, -16, 366, 1.5), (26, -34, 380, 1.7)],
    "inferior thyroid vein": [(-3, -36, 444, 1.5), (-4, -42, 415, 1.8), (-8, -52, 388, 2)],
    "left jugular vein": [(40, -36, 405, 6), (38, -22, 432, 6), (38, -20, 470, 5.5)],
    "right jugular vein": [(-40, -36, 405, 6), (-38, -22, 432, 6.5), (-38, -20, 470, 6)],
    "infrarenal vena cava": [(-20, -33, 2, 8.5), (-25, -36, 50, 9.5), (-26, -37, 105, 10.5)],
    "inferior vena cava": [
        (-26, -37, 105, 10.5),
        (-29, -38, 160, 10.5),
        (-28, -37, 205, 11),
        (-27, -36, 240, 11),
        (-30, -40, 262, 11),
    ],
    "right common iliac vein": [(-20, -33, 2, 6.5), (-30, -27, -25, 6.3), (-42, -18, -60, 6)],
    "left common iliac vein": [(-20, -33, 2, 6.5), (6, -27, -18, 6.3), (32, -18, -60, 6)],
}
_LUNG_VEINS: dict[str, list[TubePoint]] = {
    "right superior pulmonary vein": [(-20, -22, 302, 6.5), (-46, -22, 308, 5.5), (-64, -26, 322, 3.5)],
    "right inferior pulmonary vein": [(-22, -8, 288, 6.5), (-46, 4, 282, 5.5), (-64, 22, 268, 3.5)],
    "left superior pulmonary vein": [(28, -20, 304, 6.5), (50, -24, 312, 5), (66, -30, 326, 3.5)],
    "left inferior pulmonary vein": [(26, -6, 288, 6.5), (48, 8, 280, 5.5), (66, 26, 266, 3.5)],
}
# Where bronchi and vessels of the hila fork.
_FORKS = [(-46, -4, 328), (-48, 2, 304), (-56, -12, 300), (-52, 8, 290), (52, -6, 326), (54, 4, 308), (58, 10, 288)]
_OESOPHAGUS = [
    (6, -7, 470, 7),
    (6, -5, 400, 7),
    (6, 4, 360, 7),
    (5, 9, 330, 7),
    (6, 8, 300, 7.5),
    (7, -4, 262, 8),
    (12, -20, 235, 8),
    (26, -22, 218, 9),
]


def mediastinal_parts(trunk: Trunk) -> list[BodyPart]:
    """Return heart, great vessels, airways and oesophagus, in painting order."""
    physique, t = trunk.physique, trunk.physique.tissues
    parts = heart_parts(trunk)
    parts += _tubes(physique, _LUNG_VEINS, "vessel", t.lung_blood)
    parts += _tubes(physique, _LUNG_ARTERIES, "vessel", t.lung_blood)
    parts += _veins(physique)
    parts += _tubes(physique, _ARTERIES, "vessel", t.artery)
    parts += _azygos(trunk)
    if "calcified arteries" in physique.findings:
        parts += _calcifications(physique)
    parts += _oesophagus(physique) + _thymus(physique) + _thyroid(physique)
    parts += _hilar_tissue(physique)
    airways = [physique.tube(_TRACHEA)] + [physique.tube(rows, bend_mm=6) for rows in _BRONCHI.values()]
    lumen = joined(airways)
    # Walls first, so that no wall crosses a lumen where two airways meet.
    return [
        *parts,
        BodyPart("airway wall", "airway", Offset(lumen, 1.3), t.muscle - 15),
        BodyPart("airway", "airway", lumen, t.air),
    ]


def _tubes(
    physique: Physique,
    table: Mapping[str, Sequence[TubePoint]],
    kind: Kind,
    hu: float,
    stretch: tuple[float, float, float] = (1, 1, 1),
) -> list[BodyPart]:
    """Return the tubes of a table, each a little wider or narrower than in the standard patient."""
    parts = []
    for name, rows in table.items():
        wide = float(np.clip(physique.rng.normal(1, 0.07), 0.85, 1.2)) * (
            1 + 0.003 * (physique.age - 60) * ("aort" in name)
        )
        parts.append(BodyPart(name, kind, physique.tube([(x, y, z, r * wide) for x, y, z, r in rows], stretch), hu))
    return parts


def _veins(physique: Physique) -> list[BodyPart]:
    """Return systemic veins; those by which contrast came may be denser, and streaked where blood mixes."""
    t = physique.tissues
    injected = "right" if physique.injected < 0 else "left"

    def hu(name: str) -> float:
        if name.startswith((injected, "superior")) and "iliac" not in name:
            return t.upper_vein
        return t.lower_vein if "iliac" in name or "infrarenal" in name else t.vein

    def stretch(name: str) -> tuple[float, float, float]:
        return (flat**-0.5, flat**0.5, 1.0) if "vena cava" in name else (1.0, 1.0, 1.0)

    # Neighbours flatten veins, the vena cava most.
    flat = float(physique.rng.uniform(0.5, 0.95))
    parts = [
        part
        for name, rows in _VEINS.items()
        for part in _tubes(physique, {name: rows}, "vessel", hu(name), stretch(name))
    ]
    if t.upper_vein > t.vein + 60:
        stream = physique.tube([(-35, -37, 376, 4), (-39, -33, 350, 4.5), (-37, -35, 322, 5), (-34, -38, 302, 5)])
        parts.append(BodyPart("unmixed blood", "twigs", stream, (t.upper_vein + 2 * t.vein) / 3))
    return parts


def _azygos(trunk: Trunk) -> list[BodyPart]:
    t, larger = trunk.physique.tissues, float(trunk.physique.rng.uniform(0.8, 1.6))
    courses: dict[str, list[TubePoint]] = {
        "azygos": [(165, -6, -19.5, 2.8), (240, -8, -19, 3.6), (300, -8, -18.5, 4), (340, -11, -17, 4.2)],
        "hemiazygos": [(165, 12, -16, 2.2), (250, 7, -19.5, 2.8), (262, -4, -19.5, 2.4)],
        "accessory hemiazygos": [(278, -4, -19, 2), (284, 13, -15, 2.2), (345, 20, -6, 1.8)],
    }
    parts = [
        BodyPart(name, "vessel", trunk.along_spine([(z, x, y, r * larger) for z, x, y, r in rows]), t.vein)
        for name, rows in courses.items()
    ]
    arch = [(-11, 12, 341, 4.2), (-19, 4, 352, 4.4), (-30, -12, 355, 4.6), (-36, -26, 351, 5)]
    wide = [(x, y, z, r * larger**0.5) for x, y, z, r in arch]
    return [*parts, BodyPart("azygos arch", "vessel", trunk.physique.tube(wide), t.vein)]


def _calcifications(physique: Physique) -> list[BodyPart]:
    """Return plaques in the walls of the aorta and its branches."""
    rng = physique.rng
    parts = []
    for name in ("aortic arch", "descending aorta", "abdominal aorta", "left subclavian artery", "ascending aorta"):
        wall = physique.tube(_ARTERIES[name])
        for piece in rng.integers(0, len(wall.starts_mm), int(rng.integers(0, 6))):
            start, end = wall.starts_mm[piece], wall.ends_mm[piece]
            aside = np.cross(end - start, rng.normal(0, 1, 3))
            shift = aside / np.linalg.norm(aside) * (wall.radii_mm[piece, 0] - 0.3)
            size = float(rng.uniform(0.7, 1.9))
            ends = np.stack([start, end * 0.6 + start * 0.4]) + shift
            plaque = Tubes(ends[:1], ends[1:], np.array([[size, size * 0.7]]))
            parts.append(BodyPart("plaque", "twigs", plaque, float(rng.uniform(350, 900))))
    return parts


def _oesophagus(physique: Physique) -> list[BodyPart]:
    """Return the oesophagus: collapsed, with gas, with fluid or thick; and now and then a hiatal hernia."""
    rng, t = physique.rng, physique.tissues
    state = rng.choice(["collapsed", "gas", "fluid", "thick"], p=[0.35, 0.3, 0.15, 0.2])
    swell = {"collapsed": 0.9, "gas": 1.0, "fluid": 1.25, "thick": 1.35}[state]
    rows = [(x, y, z, r * (swell if z < 340 else 1.0)) for x, y, z, r in _OESOPHAGUS]
    wall = LatticeSolid(physique.uneven(physique.uneven(physique.tube(rows, (1.15, 0.85, 1)), 2.4, 34), 1.2, 13), 1.6)
    parts = [BodyPart("oesophagus", "bowel", wall, t.bowel_wall - 5)]
    if state in ("gas", "fluid"):
        level, width = float(rng.uniform(262, 318)), float(rng.uniform(1.6, 4.2))
        lumen = [(*_oesophagus_at(level + up), width * size) for up, size in ((34, 0.5), (0, 1.0), (-26, 0.4))]
        hu = -700 if state == "gas" else t.bowel_fluid
        parts.append(BodyPart("lumen of the oesophagus", "bowel", physique.tube(lumen), hu))
    if rng.random() < 0.22:
        hernia = physique.ellipsoid((18, -14, 232), (16, 14, 17))
        parts.append(BodyPart("hiatal hernia", "bowel", physique.uneven(hernia, 2.0, 18), t.bowel_wall))
        parts.append(
            BodyPart("content of the hernia", "bowel", Offset(hernia, -5.0), float(rng.choice([-80, 20, -700])))
        )
    return parts


def _oesophagus_at(z: float) -> tuple[float, float, float]:
    x, y, heights, _ = np.transpose(_OESOPHAGUS[::-1])
    return float(np.interp(z, heights, x)), float(np.interp(z, heights, y)), z


def _hilar_tissue(physique: Physique) -> list[BodyPart]:
    """Return the loose tissue in the forks of bronchi and vessels, of which there is more in some."""
    rng, t = physique.rng, physique.tissues
    parts = []
    for middle in _FORKS:
        radii = rng.uniform(2.5, 6.0, 3)
        lump = physique.uneven(
            physique.ellipsoid(rng.normal(middle, 2.0), radii, (0, float(rng.uniform(0, 90)), 0)), 1.5, 8
        )
        if rng.random() < 0.7:
            parts.append(BodyPart("tissue of the hilum", "twigs", lump, float(rng.uniform(0, t.muscle))))
    return parts


def _thymus(physique: Physique) -> list[BodyPart]:
    """Return the thymus: streaks in a triangle of fat, or solid tissue in the young."""
    rng, t = physique.rng, physique.tissues
    lobes = Union(
        (physique.ellipsoid((-9, -64, 344), (7, 5, 24)), physique.ellipsoid((10, -65, 340), (9, 5.5, 27))), 6.0
    )
    rest = LatticeSolid(physique.uneven(physique.uneven(lobes, 2.0, 18), 1.6, 8), 1.6)
    tissue = float(np.clip((50 - physique.age) / 25, 0, 1))
    ends = physique.place(rng.uniform((-17, -70, 316), (19, -60, 368), (16, 3)))
    streaks = Tubes(ends, ends + rng.normal(0, (5, 2, 7), (16, 3)), rng.uniform(0.6, 1.6, (16, 2)))
    return [
        BodyPart("thymus", "fat", rest, t.fat + 12 + tissue * (t.muscle - t.fat - 20)),
        BodyPart("streaks of the thymus", "twigs", Intersection((rest, streaks)), t.muscle - 15),
    ]


def _thyroid(physique: Physique) -> list[BodyPart]:
    rng, t = physique.rng, physique.tissues
    swell = 1.5 if "goitre" in physique.findings else 1.0
    lobes = [
        physique.ellipsoid((side * 17, -24, 452 - 6 * (swell - 1)), np.array((8, 9, 22)) * swell) for side in (-1, 1)
    ]
    isthmus = physique.tube([(-14, -32, 446, 3), (0, -35, 446, 2.5), (14, -32, 446, 3)])
    parts = [
        BodyPart("thyroid", "organ", LatticeSolid(physique.uneven(Union((*lobes, isthmus)), 2.0, 15), 1.6), t.thyroid)
    ]
    for _ in range(int(rng.integers(1, 5)) if swell > 1 else int(rng.random() < 0.3)):
        side, size = int(rng.choice([-1, 1])), float(rng.uniform(3, 8))
        nodule = physique.ellipsoid((side * 18, -24, rng.uniform(430, 462)), (size, size, size * 1.2))
        parts.append(BodyPart("nodule of the thyroid", "organ", nodule, float(rng.uniform(10, t.thyroid))))
    return parts


def diaphragm(physique: Physique) -> Solid:
    """Return everything below the diaphragm: under its domes, and below z = 150."""
    domes = (
        physique.ellipsoid((-68, -24, 152), (75, 82, 104)),
        physique.ellipsoid((66, -22, 148), (77, 80, 96)),
        physique.ellipsoid((0, -48, 150), (80, 60, 84)),
    )
    return Union((Union(domes, 14.0), HalfSpace((0, 0, 150.0 * physique.scale[2]), (0, 0, 1))))


def lung_parts(trunk: Trunk, mediastinum: list[BodyPart], nodes: Sequence[Solid], below: Solid) -> list[BodyPart]:
    """Return both lungs with their vessels: the chest less all that lies in the mediastinum, spine and abdomen.

    The pleura keeps 2–4 mm of fat from the structures that it covers and bridges the hollows
    between them, as it does in patients.
    """
    physique, t = trunk.physique, trunk.physique.tissues
    wrapped = [part for part in mediastinum if part.kind not in ("twigs", "fat")]
    core = [part.solid for part in wrapped if "carotid" not in part.name and "chambers" not in part.name]
    envelope = Union((*(_within(solid) for solid in core), _septum(trunk), *nodes), 16.0)
    spine = Union(
        (
            trunk.along_spine([(z, 0, 1, 17.5) for z in range(120, 440, 20)]),
            trunk.along_spine([(z, 0, 46, 24) for z in range(120, 440, 20)]),
            trunk.along_spine([(z, 0, 24, 20) for z in range(120, 440, 20)]),
        ),
        8.0,
    )
    top = HalfSpace((0, 0, 427.0 * physique.scale[2]), (0, 0, 1))
    cut = (Offset(_limited(envelope, physique), 2.5), Offset(_limited(spine, physique), 2.0), Offset(below, 0.5))
    chest = Intersection((Offset(trunk.cavity, -2.0), top, HalfSpace((0, 0, 130.0 * physique.scale[2]), (0, 0, -1))))
    both = LatticeSolid(Subtraction(chest, cut), 2.5, margin_mm=2.0)
    return [*_small_vessels(trunk), BodyPart("lungs", "lung", both, t.lung), *lung_contents(physique, both)]


def _small_vessels(trunk: Trunk) -> list[BodyPart]:
    """Return the twigs and strands of mediastinal fat, and the internal thoracic vessels along the sternum."""
    physique, t = trunk.physique, trunk.physique.tissues
    rng, blood = physique.rng, (t.artery + t.vein) / 2
    starts = rng.uniform((-34, -72, 236), (40, 12, 408), (90, 3))
    middles = starts + rng.normal(0, (5, 4, 8), (90, 3))
    ends = middles + rng.normal(0, (6, 5, 9), (90, 3))
    radii = np.stack([rng.uniform(0.5, 1.3, 90), rng.uniform(0.4, 0.9, 90)], axis=1) * physique.size
    a, b, c = (physique.place(points) for points in (starts, middles, ends))
    twigs = Tubes(np.concatenate([a[:55], b[:55]]), np.concatenate([b[:55], c[:55]]), np.tile(radii[:55], (2, 1)))
    strands = Tubes(a[55:], c[55:], radii[55:] * 0.7)
    parts = [
        BodyPart("mediastinal twigs", "twigs", twigs, blood - 20),
        BodyPart("strands in mediastinal fat", "twigs", strands, t.fat + 110),
    ]
    z = np.linspace(236, 392, 9) * physique.scale[2]
    _, width, *_ = trunk.cavity.section(z)
    for side in (-1, 1):
        for aside, radius, hu in ((29, 1.3, t.artery), (25, 1.6, t.vein)):
            angle = np.pi - side * np.arcsin(np.clip(aside / width, 0, 1))
            points = trunk.cavity.contour(angle, z, outward_mm=0.2)
            course = tube(np.column_stack([points, np.full(9, radius)]))
            parts.append(BodyPart("internal thoracic vessel", "twigs", course, hu))
    return parts


def _limited(solid: Solid, physique: Physique) -> Solid:
    return Intersection((solid, HalfSpace((0, 0, 460.0 * physique.scale[2]), (0, 0, 1))))


def _within(solid: Solid) -> Solid:
    """Return the part of a vessel or airway inside the mediastinal pleura, without its branches in the lung."""
    return (
        Subtraction(solid, (HalfSpace((-52.0, 0, 0), (1, 0, 0)), HalfSpace((56.0, 0, 0), (-1, 0, 0))))
        if isinstance(solid, Tubes | Offset)
        else solid
    )


def _septum(trunk: Trunk) -> Solid:
    """Return the sheet of fat between the lungs, from sternum to spine."""
    physique = trunk.physique
    z = np.array([225, 250, 290, 330, 360, 385, 410, 440], dtype=float)
    front = trunk.cavity.section(z * physique.scale[2])[2] / physique.scale[1]
    wide = np.array([40, 18, 5, 5, 14, 24, 24, 22], dtype=float)
    sheet = [
        physique.tube(np.stack([np.full_like(z, x), front * (1 - s) - 6 * s, z, wide * w], axis=1))
        for x, s, w in ((6, 0.05, 1.0), (4, 0.35, 0.9), (2, 0.7, 0.8), (0, 1.0, 0.8))
    ]
    return joined(sheet)
