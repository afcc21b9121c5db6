"""The landmarks of one CT, on one coarse grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.anatomy.airways import Airway, find_airway
from ctlymph.anatomy.body import find_body
from ctlymph.anatomy.lungs import find_lungs
from ctlymph.anatomy.spine import find_spine
from ctlymph.core.morphology import Mask
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Geometry, Volume

GRID_MM = 3.0
"""Spacing of the grid: fine enough for a trachea and a vertebra; any CT takes about two seconds."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Body, airway, lungs and spine of one CT, all on one grid with axes towards L, P, S.

    Attributes:
        hu: int16 HU, z, y, x, on the grid.
        geometry: The grid, with a spacing of ``GRID_MM``.
        body: The body with everything inside it; boolean, z, y, x.
        airway: Trachea and carina.
        lungs: Both lungs with their vessels, without the trachea; boolean, z, y, x.
        spine: ``(z, 3)``: column and row of the vertebral body's centre in each slice, and its evidence, 0…1.
    """

    hu: NDArray[np.int16]
    geometry: Geometry
    body: Mask
    airway: Airway
    lungs: Mask
    spine: NDArray[np.float64]

    __repr__ = short_repr


def find_landmarks(volume: Volume) -> Landmarks:
    """Find body, airway, lungs and spine of a CT of any spacing and orientation."""
    coarse = volume.reorient("LPS").resample(GRID_MM)
    hu, geometry = coarse.hu, coarse.geometry
    body = find_body(hu, geometry)
    airway = find_airway(hu, geometry, body)
    lungs = find_lungs(hu, geometry, body, airway)
    return Landmarks(hu, geometry, body, airway, lungs, find_spine(hu, geometry, body))
