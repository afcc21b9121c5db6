"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ctlymph.phantom.patient import Phantom, PhantomSpec, make_patient
from ctlymph.volume import Geometry, Volume


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real CTs and annotation files, which cannot be shipped; absent on most machines."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real CTs are not on this machine ({folder.name} folder beside the checkout is absent)")
    return folder


@pytest.fixture(scope="session")
def oblique_volume() -> Volume:
    """A small volume of noise whose axes are turned about all three, unevenly spaced and not axial in storage."""
    rng = np.random.default_rng(0)
    turn = Rotation.from_euler("zyx", (8, -12, 17), degrees=True).as_matrix()
    direction = turn @ np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    geometry = Geometry((6, 7, 8), np.array([-101.25, 33.5, 612.75]), np.array([0.7, 1.1, 2.5]), direction)
    return Volume(rng.integers(-1000, 1500, geometry.shape_zyx).astype(np.int16), geometry, "oblique")


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """A synthetic torso on a coarse grid, with its true nodes."""
    return make_patient(PhantomSpec(seed=1, spacing_mm=(1.6, 1.6, 3.0)))
