from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctlymph.anatomy.landmarks import find_landmarks
from ctlymph.core.errors import CtlymphError
from ctlymph.core.regions import ABDOMEN
from ctlymph.core.volume import Geometry, Volume
from ctlymph.io import read
from ctlymph.phantom.body.shapes import Ellipsoid
from ctlymph.phantom.collection.insertion import Insertion, ScanAppearance, insert_nodes, render_nodes
from ctlymph.phantom.nodes.synthetic_nodes import TrueNode
from ctlymph.phantom.scan.image_statistics import edge_mm, grain
from ctlymph.phantom.scan.patient import PhantomSpec, make_patient


@pytest.fixture(scope="module")
def background() -> Volume:
    spec = PhantomSpec(seed=3, spacing_mm=(1.2, 1.2, 2.5), z_range_mm=(40, 250))
    return make_patient(spec).volume


@pytest.fixture(scope="module")
def inserted(background: Volume) -> Insertion:
    return insert_nodes(background, 3)


def test_nodes_lie_in_fat_and_leave_all_else_as_it_was(background: Volume, inserted: Insertion) -> None:
    phantom = inserted.phantom
    assert len(phantom.nodes) >= 5
    within = phantom.masks.labels > 0
    # Noise and thin vessels may look like something else.
    assert ((background.hu[within] > -150) & (background.hu[within] < -20)).mean() > 0.75
    changed = phantom.volume.hu != background.hu
    far = np.ones_like(changed)
    for k, j, i in np.argwhere(within)[::7]:
        far[max(k - 4, 0) : k + 5, max(j - 7, 0) : j + 8, max(i - 7, 0) : i + 8] = False
    assert not (changed & far).any()


def test_masks_hold_the_nodes_and_their_hu(inserted: Insertion) -> None:
    phantom = inserted.phantom
    for node in phantom.nodes:
        if node.short_axis_mm < 9 or node.inner:
            continue
        inside = phantom.masks.labels == node.node
        assert inside.sum() * phantom.masks.geometry.voxel_mm3 == pytest.approx(node.volume_mm3, rel=0.15)
        i, j, k = phantom.masks.geometry.nearest_voxel(node.centre_mm)
        core = phantom.volume.hu[k, j - 1 : j + 2, i - 1 : i + 2].mean()
        assert core == pytest.approx(node.hu, abs=25)


def test_the_same_seed_gives_the_same_nodes_in_any_order_of_axes(background: Volume, inserted: Insertion) -> None:
    turned = insert_nodes(background.reorient("RAS"), 3).phantom
    assert (turned.volume.hu == inserted.phantom.volume.hu).all()
    assert (turned.masks.labels == inserted.phantom.masks.labels).all()
    assert not np.array_equal(insert_nodes(background, 5).phantom.masks.labels, inserted.phantom.masks.labels)


def test_nothing_of_the_header_goes_with_it(background: Volume) -> None:
    named = replace(background, attributes={"PatientName": "Doe^Jane", "SeriesInstanceUID": "1.2.3"})
    volume = insert_nodes(named, 4).phantom.volume
    assert volume.attributes == {}
    assert "not annotated" in volume.notes[0]


def test_a_tilted_scan_is_refused(background: Volume) -> None:
    turn = np.deg2rad(10)
    tilt = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    tilted = replace(background, geometry=replace(background.geometry, direction=tilt))
    with pytest.raises(CtlymphError, match="axial scans only"):
        insert_nodes(tilted, 4)


def test_noise_has_the_scans_level_and_grain(background: Volume) -> None:
    landmarks = find_landmarks(background)
    own, appearance = grain(background, landmarks), ScanAppearance.of(background, landmarks)
    grid = Geometry((24, 80, 80), np.zeros(3), background.geometry.spacing_mm)
    made = appearance.noise(grid, np.random.default_rng(0)).astype(float)
    assert made.std() == pytest.approx(own.sd_hu, rel=0.15)
    between = (made[:-1] * made[1:]).mean() / made.var()
    assert between == pytest.approx(max(own.slices, 0), abs=0.08)
    neighbours = (made[:, :, :-1] * made[:, :, 1:]).mean() / made.var()
    assert neighbours == pytest.approx(own.lag1, abs=0.12)


def test_noise_stays_level_across_a_nodes_edge_and_the_edge_is_as_sharp_as_the_scan() -> None:
    grid = Geometry((40, 120, 120), np.array([-60.0, -60.0, -20.0]), np.ones(3))
    noise = np.random.default_rng(1)
    appearance = ScanAppearance(psf_fwhm_mm=3.0, noise_hu=20.0, cutoff_per_mm=0.4, shared=0.3)
    hu = np.rint(appearance.noise(grid, noise) - 100).astype(np.int16)
    node = TrueNode(1, Ellipsoid((0.0, 0.0, 0.0), (25.0, 25.0, 400.0)), ABDOMEN, "", 60.0)
    seen = render_nodes(Volume(hu, grid), [node], appearance, seed=0).astype(float)
    y, x = np.meshgrid(grid.index_to_mm(np.array([[n, n, 0] for n in range(120)]))[:, 0], np.arange(120) - 60.0)
    away = np.hypot(x, y) - 25
    rings = np.arange(-6, 7)
    means = np.array([seen[:, np.abs(away - ring) < 0.5].mean() for ring in rings])
    spreads = np.array([(seen[:, np.abs(away - ring) < 0.15]).std(axis=0).mean() for ring in rings])
    assert spreads == pytest.approx(np.full(len(rings), 20.0), rel=0.12)
    share = (means + 100) / 160
    width = np.interp(-0.1, -share, rings) - np.interp(-0.9, -share, rings)
    assert width == pytest.approx(3.0 * 2.563 / 2.355, rel=0.12)


@pytest.mark.parametrize(
    "name", ["CMB-CRC_MSB-01068_chest", "RIDER-Pilot_0117_lower_chest", "ACRIN-FLT-Breast_001_lower_chest_to_pelvis"]
)
def test_in_real_scans_noise_and_edges_are_the_scans_own(name: str, shared_data: Path) -> None:
    volume = read(shared_data / "ct" / f"{name}.nii.gz").reorient("LPS")
    landmarks = find_landmarks(volume)
    own, appearance = grain(volume, landmarks), ScanAppearance.of(volume, landmarks)
    assert appearance.psf_fwhm_mm == pytest.approx(edge_mm(volume, landmarks) * 2.355 / 2.563)
    grid = replace(volume.geometry, shape_zyx=(20, 64, 64))
    made = appearance.noise(grid, np.random.default_rng(0)).astype(float)
    assert made.std() == pytest.approx(own.sd_hu, rel=0.1)
