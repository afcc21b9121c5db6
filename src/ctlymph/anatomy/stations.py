"""Lymph node stations, by rules on trachea, carina, lungs and spine.

Chest: the map of the IASLC (Rusch VW et al., J Thorac Oncol 2009;4:568–577), in which the left lateral wall of the
trachea, not the midline, is the border between right and left for stations 2 and 4. Many of its borders are vessels
(the aortic arch, the azygos, the innominate vein), which are not found here: heights above the carina replace them,
those of an adult of middle size. Abdomen: the groups of radiology reports, by the position of a point relative to the
spine, and its height below the lowest point of the lungs.

The station is a first suggestion for a reader: right for most nodes, and the neighbouring station for most others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.anatomy.landmarks import Landmarks
from ctlymph.core.nodes import Point
from ctlymph.core.regions import MEDIASTINUM

_SPINE_EVIDENCE = 0.15
_TRACHEA_RADIUS_MM = 9.0
"""Used if its lumen is not in view."""
_LUNGS_ABOVE_LAST_VERTEBRA_MM = 285.0
"""Distance from the lowest vertebra with a canal to the lowest point of the lungs, if they are not in view."""

_APEX_MM, _ARCH_MM = 70.0, 38.0
"""Heights above the carina: the thoracic inlet, below station 1; the top of the aortic arch, between 2 and 4."""
_AXILLA_MM = 90.0
"""Distance of the axilla from the middle of the spine."""

_BRONCHI = (("10", 50.0), ("11", 61.0), ("12", 70.0), ("14", np.inf))
"""Stations along the bronchi: hilar, interlobar, lobar, subsegmental, and the distance from the middle of the spine up
to which each extends, mm. Station 13, segmental, lies between the last two and is never named."""


@dataclass(frozen=True)
class _Chest:
    """A point in the chest; distances in mm.

    Attributes:
        up: Above the carina.
        left: To the left of the trachea's centre, or, below the carina, of the carina.
        front: In front of the same centre.
        left_of_wall: To the left of the trachea's left wall.
        left_of_spine: To the left of the centre of the vertebra.
    """

    up: float
    left: float
    front: float
    left_of_wall: float
    left_of_spine: float


@dataclass(frozen=True)
class _Belly:
    """A point in the abdomen; distances in mm.

    Attributes:
        up: Above the lowest point of the lungs.
        left: To the left of the centre of the vertebra.
        front: In front of the same centre.
    """

    up: float
    left: float
    front: float


def station_of(point_mm: Point, landmarks: Landmarks, region: str) -> str:
    """Return the name of a node's station.

    Args:
        point_mm: The node's centre, x, y, z in LPS mm.
        landmarks: The landmarks of its CT.
        region: The node's region: ``mediastinum`` or ``abdomen``.

    Returns:
        Such as ``4R`` or ``left para-aortic``; empty if the landmarks that define it are not in view.
    """
    index: NDArray[np.float64] = landmarks.geometry.mm_to_index(point_mm)
    if region == MEDIASTINUM:
        chest = _in_chest(index, landmarks)
        return _chest_station(chest) if chest else ""
    belly = _in_belly(index, landmarks)
    return _belly_station(belly) if belly else ""


def _in_chest(index: NDArray[np.float64], landmarks: Landmarks) -> _Chest | None:
    airway, step = landmarks.airway, landmarks.geometry.spacing_mm
    if airway.carina_ijk is None:
        return None
    path = airway.path_ijk
    nearest = path[np.abs(path[:, 2] - index[2]).argmin()]
    lumen = np.flatnonzero(airway.lumen[int(nearest[2])].any(axis=0))
    wall = lumen.max() + 0.5 if len(lumen) else nearest[0] + _TRACHEA_RADIUS_MM / step[0]
    left, back, _ = (index - nearest) * step
    return _Chest(
        up=float((index[2] - airway.carina_ijk[2]) * step[2]),
        left=float(left),
        front=-float(back),
        left_of_wall=float((index[0] - wall) * step[0]),
        left_of_spine=_from_spine(index, landmarks)[0],
    )


def _in_belly(index: NDArray[np.float64], landmarks: Landmarks) -> _Belly | None:
    step = landmarks.geometry.spacing_mm[2]
    lungs = np.flatnonzero(landmarks.lungs.any(axis=(1, 2)))
    spined = np.flatnonzero(landmarks.spine[:, 2] > _SPINE_EVIDENCE)
    if len(lungs) and lungs.min() > 0:
        base = float(lungs.min())
    elif len(spined) and spined.min() > 0:
        base = float(spined.min() + _LUNGS_ABOVE_LAST_VERTEBRA_MM / step)
    else:
        return None
    left, back = _from_spine(index, landmarks)
    return _Belly(float((index[2] - base) * step), left, -back)


def _from_spine(index: NDArray[np.float64], landmarks: Landmarks) -> tuple[float, float]:
    """Return the distances to the left of, and behind, the centre of the vertebra, mm."""
    k = int(np.clip(np.rint(index[2]), 0, len(landmarks.spine) - 1))
    left, back = (index[:2] - landmarks.spine[k, :2]) * landmarks.geometry.spacing_mm[:2]
    return float(left), float(back)


def _chest_station(at: _Chest) -> str:
    if abs(at.left_of_spine) > _AXILLA_MM:
        return f"{_side(at.left_of_spine)} axillary"
    if at.up > _APEX_MM:
        return f"{_side(at.left)} 1"
    if at.front > 46 and at.up < -60:
        return f"{_side(at.left)} cardiophrenic"
    if at.front > 46 and not 5 < at.left < 45:
        return "3A" if abs(at.left) < 15 else f"{_side(at.left)} internal mammary"
    if at.front > 60:
        return "3A" if at.left < 14 else "left internal mammary"
    if at.up > 18 and at.front < -14 and abs(at.left) < 20:
        return "3P"
    return _central_station(at)


def _central_station(at: _Chest) -> str:
    """Return one of the stations 2 to 14, in the middle of the chest."""
    letter = "L" if at.left_of_wall > 0 else "R"
    if at.up > _ARCH_MM:
        return f"2{letter}"
    if at.up > -2 and at.left > 12 and at.front > 20:
        return "6"
    if at.up > 4 and at.left_of_wall > 20:
        return "5"
    if at.up > 4 and at.left > -32:
        return f"4{letter}"
    return _bronchial_station(at)


def _bronchial_station(at: _Chest) -> str:
    """Return a station of hilum or lung, or one below the carina."""
    aside, letter = abs(at.left_of_spine), "L" if at.left_of_spine > 0 else "R"
    if aside > 25 and at.up < -50 and at.front < -8:
        return f"9{letter}"
    if abs(at.left) > 24 and aside > 25:
        return next(f"{name}{letter}" for name, limit_mm in _BRONCHI if aside < limit_mm)
    if at.up > -2:
        return "4L" if at.left_of_wall > 0 else "4R"
    return "7" if at.up > -32 else "8"


def _belly_station(at: _Belly) -> str:
    if at.up < -205:
        return _pelvic_station(at)
    if at.up > -22:
        return _upper_station(at)
    if abs(at.left) > 47:
        return ("left mesocolic" if at.up < -50 else "splenic hilum") if at.left > 0 else _right_flank(at)
    if at.up < -148 and at.front < 52:
        return f"{_side(at.left)} common iliac"
    if at.front < 52:
        return _great_vessel_station(at)
    if at.up > -58:
        return "peripancreatic"
    return "mesenteric root" if at.up > -100 and abs(at.left) < 25 else "mesenteric"


def _pelvic_station(at: _Belly) -> str:
    if at.up < -300 and at.front > 90:
        return f"{_side(at.left)} inguinal"
    return f"{_side(at.left)} {'external' if at.front > 60 else 'internal'} iliac"


def _upper_station(at: _Belly) -> str:
    if at.left > 55:
        return "splenic hilum" if at.front < 20 else "gastrosplenic"
    if at.front < 27 and abs(at.left) < 45:
        return f"{'left' if at.left > 5 else 'right'} retrocrural" if at.up > 2 else _great_vessel_station(at)
    if at.left < -31:
        return "portal"
    if at.left < -4:
        return "portocaval"
    if at.front < 45 and at.up < 0:
        return "left para-aortic"
    return "gastrohepatic" if at.up > 8 else "coeliac"


def _right_flank(at: _Belly) -> str:
    return "ileocolic" if at.up < -115 else "paracaval"


def _great_vessel_station(at: _Belly) -> str:
    if at.left < -26:
        return "paracaval"
    if at.left < 3:
        return "aortocaval"
    return "preaortic" if at.left < 17 and at.front > 34 else "left para-aortic"


def _side(left: float) -> str:
    return "left" if left > 0 else "right"
