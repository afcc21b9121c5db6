"""Stomach, duodenum, small bowel and colon, with their contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.short_repr import short_repr
from ctlymph.phantom.body.loops import SPACING_MM, FreeSpace, packed, winding
from ctlymph.phantom.body.parts import BodyPart, TubePoint
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import (
    FAR_MM,
    Array,
    Bounds,
    HalfSpace,
    Intersection,
    LatticeSolid,
    Offset,
    Solid,
    Tubes,
    Waves,
    tube,
)

_STOMACH = [
    (64, 8, 214, 28),
    (66, -14, 198, 33),
    (62, -46, 172, 27),
    (50, -68, 148, 21),
    (26, -79, 132, 16),
    (0, -76, 127, 13),
    (-20, -62, 127, 9),
]
_DUODENUM = [
    (-20, -62, 127, 9),
    (-38, -50, 128, 11),
    (-50, -36, 112, 12),
    (-52, -28, 86, 12),
    (-44, -34, 66, 11.5),
    (-14, -55, 58, 10),
    (18, -60, 64, 10),
    (36, -58, 84, 10),
]
_COLON: dict[str, list[TubePoint]] = {
    "ascending colon": [
        (-88, -48, -62, 15),
        (-96, -38, -42, 22),
        (-106, -14, -10, 23),
        (-108, 0, 40, 21),
        (-106, -8, 82, 20),
        (-96, -34, 100, 18),
    ],
    "transverse colon": [
        (-96, -34, 100, 18),
        (-78, -68, 92, 17),
        (-40, -86, 72, 17),
        (4, -88, 66, 16),
        (50, -84, 84, 17),
        (88, -64, 122, 17),
        (108, -50, 160, 17),
        (116, -24, 172, 16),
    ],
    "descending colon": [
        (116, -24, 172, 16),
        (115, 4, 144, 15),
        (114, 14, 100, 14),
        (112, 8, 50, 14),
        (108, 0, 5, 13),
        (102, -36, -46, 13),
    ],
    "sigmoid colon": [
        (102, -36, -46, 13),
        (82, -56, -66, 13),
        (56, -62, -84, 13),
        (20, -66, -86, 13),
        (-10, -48, -70, 13),
        (-8, -20, -64, 13),
        (6, 2, -76, 13),
        (6, 18, -92, 14),
    ],
    "rectum": [(6, 18, -92, 14), (2, 19, -112, 15), (0, 19, -134, 15), (0, 14, -156, 11), (0, 26, -182, 8)],
}
_WALL_MM = 2.0
_MOST_BEADS = 700
_HEARTS = np.array(
    [
        (84, -52, 116),
        (56, -78, 82),
        (88, -46, 48),
        (44, -70, 8),
        (2, -92, 36),
        (-50, -66, 26),
        (-30, -60, -22),
        (-66, -52, -16),
        (12, -60, -48),
        (40, -54, -74),
        (-34, -42, -84),
    ],
    dtype=float,
)
"""Standard points about which loops gather, from jejunum to ileum."""


@dataclass(frozen=True)
class Clumps(Solid):
    """Clumps all through space, where ``waves`` rise above ``level``, in their standard deviations."""

    waves: Waves
    level: float

    @property
    def bounds(self) -> Bounds:
        """No bounds: a box of ``FAR_MM``."""
        return np.full(3, -FAR_MM), np.full(3, FAR_MM)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm, by the waves' mean slope."""
        number, count = self.waves.rows[:, :3], len(self.waves.rows)
        slope = np.sqrt(np.square(number).sum() / 2) / count
        level = self.level / np.sqrt(2 * count)
        return np.asarray((np.float32(level) - self.waves.at(x, y, z)) / np.float32(slope))


@dataclass(frozen=True)
class SmallBowel:
    """Small bowel, from the duodenum to the caecum.

    Attributes:
        course_mm: (n, 3) points along its middle, LPS mm, 9 mm apart.
        parts: Its walls, then its contents.
    """

    course_mm: NDArray[np.float64]
    parts: tuple[BodyPart, ...]

    __repr__ = short_repr


def stomach_and_duodenum(physique: Physique, space: Solid) -> list[BodyPart]:
    """Return stomach and duodenum, more or less distended, with food, fluid or contrast under gas."""
    t, rng = physique.tissues, physique.rng
    course = _moved(physique, _STOMACH, 3.0) * (1, 1, 1, rng.uniform(0.8, 1.15))
    course[-1] = _STOMACH[-1]
    wall = LatticeSolid(Intersection((space, physique.uneven(physique.tube(course), 3.5, 38))), 2.0)
    lumen = LatticeSolid(physique.uneven(Offset(wall, -rng.uniform(4, 6)), 2.4, 11), 1.6)
    fluid = float(rng.choice([t.bowel_fluid, (t.bowel_fluid + t.oral_contrast) / 2, t.oral_contrast]))
    level = float(physique.place((60, rng.uniform(-66, -34), 160))[1])
    parts = [BodyPart("stomach wall", "bowel", wall, t.bowel_wall), BodyPart("stomach content", "bowel", lumen, fluid)]
    if rng.random() < 0.4:
        parts += _mottling(physique, "food", lumen, ((9.0, 0.3, fluid + 30), (6.0, 0.9, fluid - 80)))
    duodenum = physique.tube(_moved(physique, _DUODENUM, 2.0) * (1, 1, 1, rng.uniform(0.8, 1.05)))
    inner = LatticeSolid(physique.uneven(Offset(duodenum, -rng.uniform(3, 6)), 2.2, 8), 1.4)
    return [
        *parts,
        BodyPart("gas in the stomach", "bowel", Intersection((lumen, HalfSpace((0, level, 0), (0, 1, 0)))), t.air),
        BodyPart("duodenum wall", "bowel", physique.uneven(duodenum, 1.0, 16), t.bowel_wall),
        BodyPart("duodenum content", "bowel", inner, float(rng.choice([t.bowel_fluid, t.oral_contrast]))),
    ]


def colon(physique: Physique, space: Solid) -> list[BodyPart]:
    """Return the colon, pinched into haustra, with stool, contrast, fluid and gas, or collapsed; and the appendix."""
    t, rng = physique.tissues, physique.rng
    shift = _sag(physique)
    walls, contents = [], []
    for name, rows in _COLON.items():
        course = np.array(rows) + [shift.get(tuple(row[:3]), (0, 0, 0, 0)) for row in rows]
        filling = str(rng.choice(["stool", "gas", "fluid", "collapsed"], p=_fillings(name)))
        course[1:-1, 3] *= rng.uniform(0.62, 0.75) if filling == "collapsed" else rng.uniform(0.9, 1.15)
        inside = Intersection((space, physique.uneven(_haustra(physique, course, name), 1.5, 24)))
        wall = LatticeSolid(inside, 1.8)
        walls.append(BodyPart(f"{name} wall", "bowel", wall, t.bowel_wall))
        contents += _contents(physique, name, wall, filling)
    x, y, z = rng.normal((-80, -50, -68), (4, 4, 4))
    appendix = physique.tube(
        [(-88, -48, -64, 3.6), (x, y, z - 6, 3.4), *((*p, 3.2) for p in rng.normal((x + 14, y - 8, z - 18), 8, (2, 3)))]
    )
    return [*walls, BodyPart("appendix", "bowel", appendix, t.bowel_wall - 5), *contents]


def _sag(physique: Physique) -> dict[tuple[float, ...], TubePoint]:
    """Sample how far the colon's inner points lie from their usual places: the transverse colon hangs more or less."""
    rng = physique.rng
    low = rng.uniform(-42, 14)
    shift: dict[tuple[float, ...], TubePoint] = {}
    for name, rows in _COLON.items():
        for row in rows[1:-1]:
            spread = {"transverse colon": (5, 3, 5), "sigmoid colon": (9, 6, 6)}.get(name, (2, 2, 3))
            dx, dy, dz = rng.normal(0, spread)
            hang = low * np.exp(-((row[0] / 60) ** 2)) if name == "transverse colon" else 0.0
            shift[row[:3]] = (dx, dy, dz + hang, 0.0)
    return shift


def _fillings(name: str) -> tuple[float, float, float, float]:
    """Return how often a part of the colon holds stool, gas, fluid, or nothing."""
    return {
        "ascending colon": (0.7, 0.1, 0.15, 0.05),
        "transverse colon": (0.4, 0.4, 0.05, 0.15),
        "descending colon": (0.4, 0.15, 0.0, 0.45),
        "sigmoid colon": (0.35, 0.25, 0.0, 0.4),
        "rectum": (0.4, 0.25, 0.05, 0.3),
    }[name]


def _haustra(physique: Physique, course: NDArray[np.float64], name: str) -> Tubes:
    whole = tube(physique.place(course), bend_mm=5.0)
    if name == "rectum":
        return whole
    rng = physique.rng
    along = np.arange(len(whole.radii_mm) + 1) * 5.0
    phase = along * 2 * np.pi / rng.uniform(26, 38) + 0.9 * np.sin(along / rng.uniform(40, 70)) + rng.uniform(0, 6)
    pinch = 1.06 - rng.uniform(0.22, 0.36) * np.abs(np.cos(phase / 2)) ** 6
    return Tubes(whole.starts_mm, whole.ends_mm, whole.radii_mm * np.stack([pinch[:-1], pinch[1:]], axis=1))


def _contents(physique: Physique, name: str, wall: Solid, filling: str) -> list[BodyPart]:
    t, rng = physique.tissues, physique.rng
    tagged = rng.random() < 0.5 and t.oral_contrast > 100
    level = float((wall.bounds[0][1] + wall.bounds[1][1]) / 2 + rng.normal(-6, 6))
    if filling == "collapsed":
        slit = LatticeSolid(physique.uneven(Offset(wall, -6.0), 3.0, 9), 1.5)
        return [BodyPart(f"{name} content", "bowel", slit, float(rng.choice([-300.0, t.bowel_fluid])))]
    lumen = Offset(wall, -_WALL_MM)
    base = float(rng.uniform(0.75, 1) * t.oral_contrast) if tagged else float(rng.uniform(20, 50))
    parts = [BodyPart(f"{name} content", "bowel", lumen, base)]
    if filling == "stool":
        clumps = [(12.0, 0.2, base * 0.6 - 25), (6.0, 0.7, -120.0), (4.5, 1.0, -350.0), (9.0, 1.6, -800.0)]
        parts += _mottling(physique, "stool", lumen, clumps)
        level -= 10
    if filling == "gas":
        level += 14
    return [
        *parts,
        BodyPart(f"gas in the {name}", "bowel", Intersection((lumen, HalfSpace((0, level, 0), (0, 1, 0)))), t.air),
    ]


def _mottling(
    physique: Physique, name: str, lumen: Solid, clumps: Sequence[tuple[float, float, float]]
) -> list[BodyPart]:
    """Return clumps within a lumen, by their wavelength in mm, the level of :class:`Clumps` and HU."""
    parts = []
    for size, level, hu in clumps:
        # Waves of many directions, or a lattice shows.
        waves = Waves(np.concatenate([physique.waves(size).rows for _ in range(3)]))
        parts.append(BodyPart(name, "bowel", Intersection((lumen, Clumps(waves, level))), hu))
    return parts


def small_bowel(physique: Physique, space: FreeSpace) -> SmallBowel:
    """Wind small bowel through the room between the other organs: jejunum upper left, ileum lower right."""
    rng = physique.rng
    volume = min(rng.uniform(1.0e6, 1.7e6), space.volume_mm3)
    # Loops lie together around the mesentery. The rest of the space is omentum and the fat of other organs.
    space = space.about(physique.place(_HEARTS + rng.normal(0, 12, (len(_HEARTS), 3))), volume)
    runs = _runs(physique, volume)
    radii = np.concatenate([np.full(run.beads, run.radius_mm) for run in runs]) * physique.size
    radii = np.convolve(np.pad(radii, 2, mode="edge"), (0.1, 0.2, 0.4, 0.2, 0.1), mode="valid")
    radii *= 1 + 0.1 * np.convolve(rng.normal(0, 1, len(radii) + 6), np.full(7, 7**-0.5), mode="valid")
    ends = physique.place((36, -58, 84)), physique.place((-80, -40, -34))
    chain = packed(space, winding(space, rng, ends, len(radii)), radii)
    walls, contents, first = [], [], 0
    for run in runs:
        rows = np.column_stack([chain, radii])[max(first - 1, 0) : first + run.beads]
        first += run.beads
        if len(rows) < 3:
            continue
        wall, inside = _run_parts(physique, run, rows)
        walls.append(wall)
        contents += inside
    return SmallBowel(chain, (*walls, *contents))


@dataclass(frozen=True)
class _Run:
    """A stretch of small bowel of one filling; ``beads`` times 9 mm long, ``share`` of the way down."""

    beads: int
    filling: str
    radius_mm: float
    share: float


def _runs(physique: Physique, volume_mm3: float) -> list[_Run]:
    """Sample runs until they fill a room of some volume."""
    rng = physique.rng
    opaque = rng.uniform(0.1, 0.6) if physique.tissues.oral_contrast > 100 else 0.0
    plain = np.array([rng.uniform(0.2, 0.5), rng.uniform(0.4, 0.8), 0.08])
    probabilities = np.array([opaque, *(plain / plain.sum() * (1 - opaque))])
    widths = {"contrast": (9.0, 13.0), "fluid": (8.0, 13.0), "collapsed": (5.0, 7.5), "gas": (8.0, 12.0)}
    runs: list[_Run] = []
    left = volume_mm3
    while left > 0 and sum(run.beads for run in runs) < _MOST_BEADS:
        count = int(rng.integers(5, 22))
        filling = str(rng.choice(list(widths), p=probabilities))
        radius = float(rng.uniform(*widths[filling]))
        runs.append(_Run(count, filling, radius, 1 - left / volume_mm3))
        left -= count * SPACING_MM * np.pi * (radius * physique.size) ** 2
    return runs


def _run_parts(physique: Physique, run: _Run, rows: NDArray[np.float64]) -> tuple[BodyPart, list[BodyPart]]:
    t, rng = physique.tissues, physique.rng
    is_jejunum = run.share < 0.45
    solid = tube(rows, bend_mm=5.0)
    wall_hu = t.bowel_wall + float(rng.normal(12 if is_jejunum else -4, 6))
    wall = BodyPart("small bowel", "bowel", physique.uneven(solid, 1.6, 26), wall_hu)
    # Folds of the jejunum project far into its lumen, so that it looks feathery.
    folds, length = (2.6, 5.0) if is_jejunum else (1.2, 8.0)
    thick = 3.4 if run.filling == "collapsed" else 2.0
    lumen = LatticeSolid(physique.uneven(Offset(solid, -thick), folds, length), 1.3, margin_mm=2.0, cutoff_mm=5.0)
    hu = {"contrast": t.oral_contrast * rng.uniform(0.75, 1.1), "collapsed": (wall_hu + t.bowel_fluid) / 2}
    parts = [
        BodyPart("small bowel content", "bowel", lumen, float(hu.get(run.filling, t.bowel_fluid + rng.normal(4, 6))))
    ]
    if run.filling == "gas" or (run.filling != "collapsed" and rng.random() < 0.15):
        level = float(np.median(rows[:, 1]) + rng.uniform(-6, 4))
        gas = Intersection((lumen, HalfSpace((0, level, 0), (0, 1, 0))))
        parts.append(BodyPart("gas in the small bowel", "bowel", gas, t.air))
    return wall, parts


def _moved(physique: Physique, rows: Sequence[TubePoint], by_mm: float) -> NDArray[np.float64]:
    """Return the points, all but the first and last moved at random."""
    moved = np.array(rows, dtype=float)
    moved[1:-1, :3] += physique.rng.normal(0, by_mm, (len(rows) - 2, 3))
    return moved
