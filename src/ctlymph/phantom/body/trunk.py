"""The patient's outline: skin, fat, muscle wall, body cavity, spine curve and table.

Standard coordinates, mm: x to the left, y to the back, z to the head; z = 0 at
the iliac crest, 347 at the carina, 430 at the lung apices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import (
    Array,
    Bounds,
    Ellipsoid,
    HalfSpace,
    Intersection,
    LatticeSolid,
    Offset,
    Sheets,
    Shells,
    Solid,
    Subtraction,
    SuperellipticColumn,
    Tubes,
    Union,
    tube,
)

LOWEST_MM, HIGHEST_MM = -210.0, 470.0

# z, half width, front y, back y of the inside of ribs and abdominal wall.
_CAVITY = np.array(
    [
        (-210, 26, -40, 34),
        (-180, 40, -52, 40),
        (-150, 56, -66, 46),
        (-120, 68, -88, 48),
        (-95, 84, -98, 40),
        (-60, 116, -102, 26),
        (0, 132, -106, 30),
        (60, 135, -105, 40),
        (120, 138, -102, 50),
        (180, 141, -100, 64),
        (240, 141, -98, 75),
        (300, 134, -88, 80),
        (340, 124, -76, 79),
        (370, 108, -62, 71),
        (395, 86, -46, 58),
        (415, 62, -28, 44),
        (430, 40, -14, 32),
        (470, 24, -8, 20),
    ],
    dtype=float,
)
# z, thickness of the muscle wall outside the cavity at the side, in front, at the back.
_WALL = np.array(
    [
        (-210, 140, 58, 66),
        (-180, 126, 44, 64),
        (-150, 110, 22, 62),
        (-120, 90, 10, 60),
        (-95, 66, 10, 62),
        (-60, 32, 11, 62),
        (0, 19, 11, 46),
        (60, 17, 11, 38),
        (120, 16, 11, 30),
        (180, 17, 11, 25),
        (240, 20, 12, 23),
        (300, 28, 17, 24),
        (340, 40, 20, 25),
        (370, 58, 21, 28),
        (395, 88, 24, 36),
        (415, 102, 30, 40),
        (435, 96, 36, 42),
        (452, 60, 40, 46),
        (470, 38, 42, 48),
    ],
    dtype=float,
)
# z, thickness of subcutaneous fat at the side, in front, at the back.
_FAT = np.array(
    [
        (-210, 20, 16, 16),
        (-150, 24, 26, 20),
        (-60, 24, 22, 22),
        (0, 20, 22, 20),
        (60, 14, 20, 15),
        (120, 10, 15, 11),
        (180, 8, 11, 9),
        (240, 8, 10, 8),
        (300, 9, 11, 8),
        (340, 10, 12, 8),
        (380, 10, 9, 9),
        (430, 8, 6, 8),
        (470, 6, 5, 7),
    ],
    dtype=float,
)
# z and y of the middle of the vertebral bodies.
_SPINE = np.array(
    [
        (-210, 20),
        (-170, 36),
        (-140, 50),
        (-112, 50),
        (-88, 42),
        (-60, 22),
        (-40, 4),
        (-18, -6),
        (0, -8),
        (55, -10),
        (126, 0),
        (190, 14),
        (268, 27),
        (330, 30),
        (378, 21),
        (416, 6),
        (470, -6),
    ],
    dtype=float,
)


@dataclass(frozen=True)
class Trunk:
    """The outline of the body, into which everything else is fitted.

    Attributes:
        skin: The whole body.
        wall: The body inside subcutaneous fat.
        cavity: The inside of ribs and abdominal wall, neck base to pelvis.
    """

    physique: Physique
    skin: SuperellipticColumn
    wall: SuperellipticColumn
    cavity: SuperellipticColumn

    @classmethod
    def of(cls, physique: Physique) -> Trunk:
        """Return the outline of a patient of this physique."""
        z = np.linspace(LOWEST_MM, HIGHEST_MM, 40)
        inner = _at(_CAVITY, z)
        wall = _at(_WALL, z)
        fat = _at(_FAT, z) * physique.fat + 2.0
        return cls(
            physique,
            skin=_column(physique, z, inner + (wall + fat) * (1, -1, 1), 2.35),
            wall=_column(physique, z, inner + wall * (1, -1, 1), 2.3),
            cavity=_column(physique, z, inner, 2.3),
        )

    def spine(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return points x, y, z in the middle of the vertebral bodies at heights ``z``, in standard coordinates."""
        from scipy.interpolate import PchipInterpolator

        heights = np.asarray(z, dtype=float)
        return np.stack(
            [np.zeros_like(heights), PchipInterpolator(_SPINE[:, 0], _SPINE[:, 1])(heights), heights], axis=-1
        )

    def along_spine(self, rows: ArrayLike, stretch: tuple[float, float, float] = (1, 1, 1)) -> Solid:
        """Return a tube along the spine through rows of z, x and y from the vertebral bodies' middle, and radius."""
        z, x, y, radius = np.asarray(rows, dtype=float).T
        points = self.spine(z) + np.stack([x, y, np.zeros_like(z)], axis=-1)
        return self.physique.tube(np.concatenate([points, radius[:, None]], axis=1), stretch)


@dataclass(frozen=True)
class ScannerTable(Solid):
    """The scanner's table: a curved shell under the body, the same along z."""

    top_mm: float
    """y of its lowest, middle line."""
    thickness_mm: float
    radius_mm: float = 420.0
    half_width_mm: float = 215.0

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        rise = self.half_width_mm**2 / (2 * self.radius_mm) * 1.2
        return (
            np.array([-self.half_width_mm, self.top_mm - rise, -1e4]),
            np.array([self.half_width_mm, self.top_mm + self.thickness_mm, 1e4]),
        )

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        ring = np.hypot(x, y - np.float32(self.top_mm - self.radius_mm)) - np.float32(self.radius_mm)
        shell = np.abs(ring - np.float32(self.thickness_mm / 2)) - np.float32(self.thickness_mm / 2)
        upper = np.float32(self.top_mm - self.radius_mm) - y
        return np.asarray(np.maximum(np.maximum(shell, np.abs(x) - np.float32(self.half_width_mm)), upper) + 0 * z)

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        flat = self.distance(x[None, None, :], y[None, :, None], z[:1, None, None])
        return np.repeat(flat, len(z), axis=0)


def trunk_parts(trunk: Trunk) -> list[BodyPart]:
    """Return table, skin, fat, and the muscles of wall and back, with fat planes between them."""
    t = trunk.physique.tissues
    physique = trunk.physique
    back_y = float(trunk.skin.rows[:, 4].max())
    outline = Union(
        (trunk.skin, *(arm(physique, side, 46 + 4 * physique.fat) for side in (-1, 1)), *_breasts(trunk)), 24.0
    )
    cleft = _cleft(trunk, trunk.skin, 20.0)
    skin = LatticeSolid(
        Subtraction(physique.uneven(outline, 3.0, 150), (_furrow(trunk, trunk.skin, (14.0, 7.0)), cleft)), 4.0
    )
    muscles = Union((_loins(trunk), *(arm(physique, side, 43.0) for side in (-1, 1))), 16.0)
    grooves = (_furrow(trunk, trunk.wall, (12.0, 3.0)), _cleft(trunk, trunk.wall, 32.0), *_front_grooves(trunk))
    wall = LatticeSolid(Subtraction(physique.uneven(physique.uneven(muscles, 2.5, 75), 1.6, 28), grooves), 2.5)
    cavity = LatticeSolid(trunk.cavity, 3.0)
    # Ribs and intercostal muscles end 10 mm outside the pleura; a plane of fat parts them from the outer muscles.
    cage_z = float(physique.scale[2] * 150)
    planes = Intersection((Offset(cavity, 12.0), HalfSpace((0, 0, cage_z), (0, 0, -1)), Offset(wall, -4.0)))
    cage = Intersection((Offset(cavity, 10.0), HalfSpace((0, 0, cage_z), (0, 0, -1)), Offset(wall, -4.0)))
    return [
        BodyPart("table", "surroundings", ScannerTable(back_y + 6, 22.0), 60.0),
        BodyPart("table core", "surroundings", ScannerTable(back_y + 8, 18.0), -930.0),
        BodyPart("skin", "surroundings", skin, t.skin),
        BodyPart("subcutaneous fat", "fat", Offset(skin, -2.0), t.fat),
        *_glands(trunk, skin),
        BodyPart("muscle wall", "surroundings", wall, t.muscle),
        *_abdominal_fat_planes(trunk, cavity, wall),
        *_fat_between_muscles(trunk, wall, cavity),
        BodyPart("fat outside the ribs", "fat", LatticeSolid(planes, 3.0), t.fat),
        BodyPart("rib cage", "surroundings", LatticeSolid(cage, 3.0), t.muscle - 8),
        BodyPart(
            "cavity",
            "fat",
            LatticeSolid(Intersection((cavity, HalfSpace((0, 0, 436.0 * physique.scale[2]), (0, 0, 1)))), 3.0),
            t.fat,
        ),
    ]


def _breasts(trunk: Trunk) -> list[Solid]:
    """Return the breasts of a woman, flat as she lies on her back."""
    physique = trunk.physique
    if physique.sex == "M":
        return []
    deep = float(np.clip(22 + 9 * physique.fat, 24, 46))
    return [physique.ellipsoid((side * 80, -112, 290), (58, deep, 54), (0, 0, side * 14)) for side in (-1, 1)]


def _glands(trunk: Trunk, skin: Solid) -> list[BodyPart]:
    """Return the glandular tissue of the breasts: ragged, and less of it with age."""
    physique, t = trunk.physique, trunk.physique.tissues
    size = float(np.clip((95 - physique.age) / 50, 0.35, 1.2)) ** 0.5
    parts = []
    for breast in _breasts(trunk):
        x, y, z = (float(c) for c in breast.bounds[0] + breast.bounds[1])
        middle = (x / 2, y / 2 - 8, z / 2)
        gland = Ellipsoid(middle, (36 * size, 14 * size, 30 * size))
        ragged = LatticeSolid(Intersection((Offset(skin, -7.0), physique.uneven(gland, 13.0 * size, 17))), 2.0)
        ends = np.array(middle) + physique.rng.normal(0, 1, (22, 3)) * (26, 9, 22)
        strands = Tubes(ends, ends + physique.rng.normal(0, 1, (22, 3)) * (9, 7, 9), np.full((22, 2), 0.9))
        parts.append(BodyPart("glandular tissue", "surroundings", ragged, 28.0))
        parts.append(
            BodyPart("strands in the breast", "surroundings", Intersection((strands, Offset(skin, -3.0))), t.fat + 90)
        )
    return parts


def _abdominal_fat_planes(trunk: Trunk, cavity: Solid, wall: Solid) -> list[BodyPart]:
    """Return the thin fat between the three layers of the lateral abdominal wall, and the linea alba's neighbours."""
    t, scale = trunk.physique.tissues, trunk.physique.scale
    low = HalfSpace((0, 0, 165 * scale[2]), (0, 0, 1))
    high = HalfSpace((0, 0, -50 * scale[2]), (0, 0, -1))
    front = HalfSpace((0, 25 * scale[1], 0), (0, 1, 0))
    layers = Intersection((Shells(cavity, (5.0, 10.5), 1.3), low, high, front, Offset(wall, -2.0)))
    edges = [
        trunk.physique.tube([(x, -108 - 5, z, 2.2) for z in (-60, 40, 140)], stretch=(1.0, 3.0, 1.0)) for x in (-64, 64)
    ]
    return [
        BodyPart("fat between abdominal muscles", "fat", layers, t.fat + 30),
        *(BodyPart("fat beside the rectus", "fat", edge, t.fat) for edge in edges),
    ]


def _fat_between_muscles(trunk: Trunk, wall: Solid, cavity: Solid) -> list[BodyPart]:
    """Return the sheets of fat between the many muscles of shoulder girdle and buttocks."""
    physique, t = trunk.physique, trunk.physique.tissues
    spaces = (
        (HalfSpace((0, 0, 300 * physique.scale[2]), (0, 0, -1)), physique.waves(75, upright=2.0)),
        (HalfSpace((0, 0, 20 * physique.scale[2]), (0, 0, 1)), physique.waves(75, upright=2.0)),
    )
    outer = Subtraction(Offset(wall, -1.5), (Offset(cavity, 14.0),))
    return [
        BodyPart(
            "fat between muscles",
            "fat",
            Intersection((outer, space, Sheets(waves, 1.6))),
            t.fat + 15,
        )
        for space, waves in spaces
    ]


def _furrow(trunk: Trunk, cover: SuperellipticColumn, size_mm: tuple[float, float]) -> Solid:
    """Return the groove over the spinous processes: its radius, and how far outside ``cover`` its middle lies."""
    radius, outside = size_mm
    z = np.linspace(LOWEST_MM, 330, 12)
    points = trunk.physique.place(trunk.spine(z))
    y = cover.section(points[:, 2])[3] + outside
    return tube(np.stack([points[:, 0], y, points[:, 2], np.full_like(y, radius)], axis=1))


def _cleft(trunk: Trunk, cover: SuperellipticColumn, radius: float) -> Solid:
    """Return the groove between the buttocks, deeper the lower."""
    z = np.array([-212.0, -160, -120, -95])
    points = trunk.physique.place(trunk.spine(z))
    size = radius * np.array([1.0, 0.9, 0.6, 0.3])
    y = cover.section(points[:, 2])[3] + np.array([0.35, 0.45, 0.6, 1.0]) * size
    return tube(np.stack([points[:, 0], y, points[:, 2], size], axis=1), (0.9, 1.0, 1.0))


def _loins(trunk: Trunk) -> Solid:
    """Return the muscle wall, which at the back of the loins is as narrow as the paraspinal muscles."""
    # z, half width, and how far this column extends behind the wall.
    shape = [(-210, 300, 20), (-70, 220, 20), (-40, 130, 4), (0, 78, 1), (60, 66, 1), (120, 68, 1)]
    z, width, behind = np.array([*shape, (160, 100, 4), (200, 180, 20), (470, 300, 20)], dtype=float).T
    heights = z * trunk.physique.scale[2]
    _, _, front, back, _ = trunk.wall.section(heights)
    rows = np.stack([heights, 0 * z, width * trunk.physique.size, front, back + behind, np.full(len(z), 2.6)], axis=1)
    return Intersection((trunk.wall, Union((Offset(trunk.cavity, 18.0), SuperellipticColumn(rows)), 12.0)))


def _front_grooves(trunk: Trunk) -> list[Solid]:
    """Return the grooves before the breastbone, and those in the midline and at the outer edges of the recti."""
    z = np.linspace(-90, 200, 9)
    heights = z * trunk.physique.scale[2]
    wide = np.interp(z, (-90, -40, 60, 200), (34, 50, 66, 74)) * trunk.physique.scale[0]
    grooves: list[Solid] = []
    chest = np.linspace(232, 370, 5) * trunk.physique.scale[2]
    bare = trunk.wall.contour(np.full(5, np.pi), chest, outward_mm=5.0)
    # Little but skin covers the breastbone.
    grooves.append(tube(np.column_stack([bare, np.full(5, 9.0)]), (2.4, 1, 1)))
    for x, radius in ((0 * wide, 6.0), (-wide, 9.0), (wide, 9.0)):
        _, half, *_ = trunk.wall.section(heights)
        angle = np.pi - np.sign(x) * np.arcsin(np.clip(np.abs(x) / half, 0, 0.95))
        points = trunk.wall.contour(angle, heights, outward_mm=radius - 4.5)
        grooves.append(tube(np.column_stack([points, np.full(len(z), radius)])))
    return grooves


def back_parts(trunk: Trunk) -> list[BodyPart]:
    """Return erector spinae, quadratus lumborum, iliacus and psoas, each in its sheath of fat."""
    t, rng = trunk.physique.tissues, trunk.physique.rng
    parts = []
    block = trunk.along_spine([(z, 0, 44 if z > 140 else 40, 27 if z > 140 else 24) for z in range(-60, 471, 40)])
    parts.append(BodyPart("muscles around the spine", "muscle", LatticeSolid(block, 3.0), t.muscle))
    for side in (-1, 1):
        strong = float(rng.uniform(0.9, 1.08))
        multifidus = trunk.along_spine(
            [(z, side * 13, 47 + 6 * (z > 120), strong * (13 if z < 120 else 8)) for z in range(-45, 300, 35)],
            stretch=(0.95, 1.35, 1.0),
        )
        erector = trunk.along_spine(
            [
                (
                    z,
                    side * (38 if z < 120 else 28),
                    54 + 3 * (z > 250),
                    strong * ((20 if z < 120 else 15) - 6 * (z < -30)),
                )
                for z in range(-60, 430, 35)
            ],
            stretch=(1.25, 1.0, 1.0),
        )
        quadratus = trunk.along_spine(
            [(-40, side * 72, 48, 8), (40, side * 62, 43, 9), (140, side * 46, 36, 6)], (2.2, 1.0, 1.0)
        )
        psoas = trunk.physique.tube(
            [
                (side * 24, 11, 150, 6),
                (side * 30, 4, 110, 12),
                (side * 39, -3, 60, 18),
                (side * 47, -4, 10, 21),
                (side * 54, -8, -40, 21),
                (side * 68, -26, -80, 19),
                (side * 84, -50, -112, 17),
            ],
            (1.0, 1.1, 1.0),
        )
        iliacus = trunk.physique.tube(
            [(side * 104, 2, -12, 9), (side * 92, -12, -60, 14), (side * 88, -44, -106, 14)], (0.8, 1.7, 1.0)
        )
        muscles = {
            "erector spinae": erector,
            "multifidus": multifidus,
            "quadratus lumborum": quadratus,
            "iliacus": iliacus,
            "psoas": psoas,
        }
        for name, muscle in muscles.items():
            sheathed = LatticeSolid(trunk.physique.uneven(trunk.physique.uneven(muscle, 2.0, 45), 1.0, 14), 2.5)
            # Here and there muscles lie on each other without fat between.
            sheath = trunk.physique.uneven(Offset(sheathed, 0.6), 1.1, 35)
            parts.append(BodyPart(f"fat around {name}", "fat", sheath, t.fat + 25))
            parts.append(BodyPart(name, "muscle", sheathed, t.muscle))
    return parts


def arm(physique: Physique, side: int, radius: float) -> Tubes:
    """Return an arm of a given radius, mm: next to the neck when it lies above the head, else next to the trunk."""
    rows = [(150, 12, 404, 0.8), (166, 4, 440, 1.0), (186, -2, 490, 1.0)]
    if not physique.arms_up:
        rows = [
            (158, 14, 402, 0.8),
            (190, 14, 366, 1.0),
            (224, 20, 300, 1.0),
            (240, 20, 180, 0.95),
            (242, 0, -60, 0.75),
        ]
    return physique.tube([(side * x, y, z, share * radius) for x, y, z, share in rows])


def _at(rows: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.interpolate import PchipInterpolator

    inside = np.clip(z, rows[0, 0], rows[-1, 0])
    return np.asarray(PchipInterpolator(rows[:, 0], rows[:, 1:])(inside))


def _column(
    physique: Physique, z: NDArray[np.float64], sides: NDArray[np.float64], exponent: float
) -> SuperellipticColumn:
    width, front, back = (sides * physique.scale[[0, 1, 1]]).T
    return SuperellipticColumn(
        np.stack([z * physique.scale[2], 0 * z, width, front, back, np.full_like(z, exponent)], axis=1)
    )
