"""One phantom that several tests look at: made once, scanned coarsely and without noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ctlymph.core.volume import Geometry
from ctlymph.phantom.body.shapes import near
from ctlymph.phantom.nodes.patient_anatomy import Anatomy, torso
from ctlymph.phantom.scan.patient import Phantom, PhantomSpec, scan_patient

SEED = 5
DEEP_MM = 4.0


@pytest.fixture(scope="session")
def anatomy() -> Anatomy:
    return torso(SEED)


@pytest.fixture(scope="session")
def clean_patient(anatomy: Anatomy) -> Phantom:
    return scan_patient(anatomy, PhantomSpec(SEED, (2.5, 2.5, 3.0), noise_hu=0))


@pytest.fixture(scope="session")
def deep_in(anatomy: Anatomy, clean_patient: Phantom) -> NDArray[np.int64]:
    """Number of the part in which each voxel of ``clean_patient`` lies, 4 mm and more from any edge; else -1."""
    x, y, z = axes_of(clean_patient.volume.geometry)
    owner = np.full(clean_patient.volume.hu.shape, -1)
    for number, part in enumerate(anatomy.parts):
        k, j, i = box = near(part.solid, x, y, z, DEEP_MM)
        if not owner[box].size:
            continue
        distance = part.solid.on_grid(x[i], y[j], z[k], DEEP_MM)
        owner[box] = np.where(distance <= -DEEP_MM, number, np.where(distance < DEEP_MM, -1, owner[box]))
    return owner


def axes_of(grid: Geometry) -> tuple[NDArray[np.float32], ...]:
    return tuple(
        (o + s * np.arange(n)).astype(np.float32)
        for o, s, n in zip(grid.origin_mm, grid.spacing_mm, grid.shape_ijk, strict=True)
    )
