"""All landmarks of one CT, found on one coarse grid."""

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
"""Fine enough for a trachea and a vertebra, coarse enough that any CT takes about two seconds."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """What was found, all on one grid with axes towards L, P, S.

    Attributes:
        hu: int16 HU, z, y, x, on the grid.
        geometry: The grid, ``GRID_MM`` apart.
        body: The body with all that it encloses.
        airway: Trachea and carina.
        lungs: Both lungs, vessels filled in, without the trachea.
        spine: ``(z, 3)``: column and row of the vertebral body's centre, and its evidence, 0…1.
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
