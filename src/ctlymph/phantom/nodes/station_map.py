"""Stations of lymph nodes: where in the standard patient they lie.

Names in the chest are the numbers of the IASLC map. Coordinates are those of
the trunk: mm, x to the left, y to the back, z to the head from the iliac crest.
"""

from __future__ import annotations

from dataclasses import dataclass

from ctlymph.core.nodes import Point
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM


@dataclass(frozen=True)
class Station:
    """A place with lymph nodes.

    Attributes:
        name: As in the truth's table.
        region: ``mediastinum`` or ``abdomen``, the region in whose cases its nodes are annotated.
        middle: x, y, z in the standard patient.
        spread: Standard deviation along x, y, z, mm.
        enlarged: Relative frequency of enlarged nodes, among the stations of the region.
        normal: The same of small normal nodes.
    """

    name: str
    region: str
    middle: Point
    spread: Point
    enlarged: float
    normal: float


def _one(region: str, name: str, middle: Point, spread: Point, enlarged: float, normal: float) -> tuple[Station, ...]:
    return (Station(name, region, middle, spread, enlarged, normal),)


def _pair(region: str, name: str, left: Point, spread: Point, enlarged: float, normal: float) -> tuple[Station, ...]:
    """Return a station of the left side and its mirror image."""
    x, y, z = left
    return tuple(
        Station(f"{side} {name}", region, (sign * x, y, z), spread, enlarged, normal)
        for side, sign in (("right", -1), ("left", 1))
    )


_CHEST = (
    *_pair(MEDIASTINUM, "1", (28, -14, 424), (6, 6, 8), 0.3, 0.6),
    *_one(MEDIASTINUM, "2R", (-14, -16, 392), (4, 5, 8), 0.8, 0.8),
    *_one(MEDIASTINUM, "2L", (20, -8, 395), (4, 4, 8), 0.5, 0.6),
    *_one(MEDIASTINUM, "3A", (-4, -62, 358), (8, 4, 12), 0.5, 0.6),
    *_one(MEDIASTINUM, "3P", (-4, 6, 385), (5, 4, 10), 0.15, 0.2),
    *_one(MEDIASTINUM, "4R", (-20, -24, 360), (5, 6, 9), 1.8, 1.4),
    *_one(MEDIASTINUM, "4L", (14, -6, 352), (5, 5, 7), 0.9, 0.9),
    *_one(MEDIASTINUM, "5", (38, -18, 352), (5, 7, 5), 0.9, 0.9),
    *_one(MEDIASTINUM, "6", (30, -46, 355), (7, 7, 9), 0.8, 0.9),
    *_one(MEDIASTINUM, "7", (-2, -2, 325), (7, 5, 8), 1.8, 0.9),
    *_one(MEDIASTINUM, "8", (-8, 0, 285), (8, 5, 22), 0.5, 0.5),
    *_one(MEDIASTINUM, "9R", (-36, 12, 268), (6, 6, 8), 0.15, 0.2),
    *_one(MEDIASTINUM, "9L", (40, 14, 268), (6, 6, 8), 0.15, 0.2),
    *_one(MEDIASTINUM, "10R", (-40, -6, 328), (5, 6, 6), 1.2, 0.8),
    *_one(MEDIASTINUM, "10L", (46, -10, 316), (5, 6, 7), 0.8, 0.7),
    *_one(MEDIASTINUM, "11R", (-56, 2, 310), (5, 7, 10), 0.5, 0.5),
    *_one(MEDIASTINUM, "11L", (60, 4, 312), (5, 7, 10), 0.4, 0.5),
    *_one(MEDIASTINUM, "12R", (-64, 6, 296), (4, 6, 8), 0.0, 0.3),
    *_one(MEDIASTINUM, "12L", (68, 10, 298), (4, 6, 8), 0.0, 0.3),
    *_one(MEDIASTINUM, "14R", (-82, 14, 285), (6, 8, 10), 0.0, 0.15),
    *_one(MEDIASTINUM, "14L", (86, 16, 285), (6, 8, 10), 0.0, 0.15),
    *_pair(MEDIASTINUM, "internal mammary", (27, -84, 335), (4, 6, 25), 0.15, 0.3),
    *_pair(MEDIASTINUM, "cardiophrenic", (28, -76, 245), (9, 7, 8), 0.25, 0.4),
    *_pair(MEDIASTINUM, "axillary", (138, -12, 352), (8, 16, 22), 0.2, 1.6),
)
_UPPER_ABDOMEN = (
    *_pair(ABDOMEN, "retrocrural", (14, -2, 192), (5, 4, 12), 0.4, 0.3),
    *_one(ABDOMEN, "gastrohepatic", (28, -42, 186), (9, 8, 8), 0.8, 0.8),
    *_one(ABDOMEN, "coeliac", (20, -52, 164), (10, 8, 7), 0.9, 0.6),
    *_one(ABDOMEN, "portal", (-42, -44, 158), (9, 7, 8), 0.7, 0.5),
    *_one(ABDOMEN, "portocaval", (-28, -50, 140), (7, 6, 10), 0.9, 0.6),
    *_one(ABDOMEN, "peripancreatic", (18, -62, 118), (22, 7, 9), 0.5, 0.4),
    *_one(ABDOMEN, "splenic hilum", (78, 4, 172), (9, 9, 12), 0.3, 0.4),
    *_one(ABDOMEN, "gastrosplenic", (84, -36, 170), (10, 12, 14), 0.15, 0.3),
)
_RETROPERITONEUM = (
    *_one(ABDOMEN, "left para-aortic", (28, -34, 85), (7, 7, 30), 2.2, 1.2),
    *_one(ABDOMEN, "preaortic", (8, -54, 70), (8, 4, 26), 0.5, 0.3),
    *_one(ABDOMEN, "aortocaval", (-9, -39, 80), (5, 7, 30), 1.4, 0.8),
    *_one(ABDOMEN, "paracaval", (-44, -34, 62), (6, 7, 24), 0.8, 0.5),
)
_MESENTERY = (
    *_one(ABDOMEN, "mesenteric root", (4, -64, 72), (12, 7, 22), 1.2, 0.9),
    *_one(ABDOMEN, "mesenteric", (24, -66, 36), (26, 9, 24), 1.4, 2.0),
    *_one(ABDOMEN, "mesenteric", (-22, -68, 16), (20, 9, 22), 0.9, 1.6),
    *_one(ABDOMEN, "ileocolic", (-70, -52, -8), (14, 10, 16), 0.4, 0.9),
    *_one(ABDOMEN, "left mesocolic", (70, -20, 40), (14, 14, 34), 0.2, 0.5),
)
_PELVIS = (
    *_pair(ABDOMEN, "common iliac", (30, -42, -14), (8, 7, 14), 0.7, 0.5),
    *_pair(ABDOMEN, "external iliac", (54, -44, -98), (9, 12, 22), 0.6, 0.9),
    *_pair(ABDOMEN, "internal iliac", (46, -6, -92), (9, 12, 18), 0.4, 0.5),
    *_pair(ABDOMEN, "inguinal", (68, -84, -165), (13, 8, 12), 0.25, 1.6),
)
STATIONS = (*_CHEST, *_UPPER_ABDOMEN, *_RETROPERITONEUM, *_MESENTERY, *_PELVIS)


def stations_of(region: str) -> tuple[Station, ...]:
    """Return the stations of a region at which nodes are enlarged."""
    return tuple(station for station in STATIONS if station.region == region and station.enlarged)


def is_annotated(station: str) -> bool:
    """Return whether those who annotated the public collection mark enlarged nodes of a station.

    Not of the axillae: of the 388 nodes in its chests none lies more than 91 mm to the side of the middle of the image.
    """
    return not station.endswith("axillary")


def is_in_lung(station: str) -> bool:
    """Return whether a station's nodes lie among the airways of a lobe, with air around them."""
    return station[:2] in ("12", "13", "14")
