from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ctlymph.anatomy.landmarks import find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Volume
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import HalfSpace, Offset
from ctlymph.phantom.nodes.patient_anatomy import Anatomy, Body
from ctlymph.phantom.scan.head_and_legs import make_head, make_legs
from ctlymph.phantom.scan.patient import Phantom, PhantomSpec, make_patient, scan_patient
from ctlymph.phantom.scan.scanner import Scanner, label, scan

SEED = 5  # of the fixtures
CHEST = PhantomSpec(SEED, (4, 4, 4), z_range_mm=(300, 340))


@pytest.mark.parametrize(
    ("name", "tissue"),
    [
        ("subcutaneous fat", "fat"),
        ("abdominal fat", "fat"),
        ("muscle wall", "muscle"),
        ("erector spinae", "muscle"),
        ("psoas", "muscle"),
        ("lungs", "lung"),
        ("airway", "air"),
        ("liver", "liver"),
        ("spleen", "spleen"),
        ("kidney", "kidney"),
        ("heart chambers", "heart_blood"),
        ("descending aorta", "artery"),
        ("abdominal aorta", "artery"),
        ("inferior vena cava", "vein"),
        ("L3 body marrow", "marrow"),
    ],
)
def test_tissues_have_their_hu(
    clean_patient: Phantom, anatomy: Anatomy, deep_in: NDArray[np.int64], name: str, tissue: str
) -> None:
    tissues = Physique.sampled(np.random.default_rng([SEED, 1]), contrast=True).tissues
    numbers = [n for n, part in enumerate(anatomy.parts) if part.name == name]
    values = clean_patient.volume.hu[np.isin(deep_in, numbers)]
    assert values.size >= 5
    assert np.median(values) == pytest.approx(getattr(tissues, tissue), abs=3)


def test_without_contrast_vessels_are_not_brighter_than_muscle(anatomy: Anatomy) -> None:
    body = Body.of(SEED, contrast=False)
    unenhanced = (*body.mediastinum, *body.others[0], *body.others[1])
    plain, enhanced = ({part.name: part.hu for part in parts} for parts in (unenhanced, anatomy.parts))
    for vessel in ("descending aorta", "inferior vena cava", "superior mesenteric vein"):
        assert plain[vessel] < plain["psoas"]
        assert 110 <= enhanced[vessel] <= 230


def test_the_same_seed_gives_the_same_bytes(anatomy: Anatomy) -> None:
    first, again = scan_patient(anatomy, CHEST), make_patient(CHEST)
    assert first.volume.hu.tobytes() == again.volume.hu.tobytes()
    assert first.masks.labels.tobytes() == again.masks.labels.tobytes()


def test_another_seed_gives_other_noise(anatomy: Anatomy) -> None:
    first, other = (scan_patient(anatomy, replace(CHEST, seed=seed)) for seed in (1, 2))
    assert (first.volume.hu != other.volume.hu).mean() > 0.4


def test_where_a_node_lies_does_not_depend_on_how_finely_it_is_scanned(
    anatomy: Anatomy, clean_patient: Phantom
) -> None:
    shown = {node.node for node in clean_patient.nodes}
    assert shown
    assert [node.centre_mm for node in clean_patient.nodes] == [
        node.centre_mm for node in anatomy.nodes if node.node in shown
    ]


def test_masks_lie_on_the_cts_grid_and_hold_every_node(clean_patient: Phantom) -> None:
    assert clean_patient.masks.geometry.matches(clean_patient.volume.geometry)
    assert set(np.unique(clean_patient.masks.labels)) == {0, *(node.node for node in clean_patient.nodes)}
    for node in (node for node in clean_patient.nodes if node.short_axis_mm >= 8):
        i, j, k = np.rint(clean_patient.volume.geometry.mm_to_index(node.centre_mm)).astype(int)
        assert clean_patient.masks.labels[k, j, i] == node.node


def test_a_masks_volume_and_hu_are_those_of_the_node(anatomy: Anatomy) -> None:
    for node in (node for node in anatomy.nodes if node.short_axis_mm >= 6 and not node.inner):
        low, high = node.solid.bounds
        spacing = np.array((0.7, 0.7, 1.0))
        x, y, z = (int(n) for n in np.ceil((high - low + 4) / spacing))
        grid = Geometry((z, y, x), low - 2, spacing)
        mask = label([node.solid], grid) == 1
        assert mask.sum() * grid.voxel_mm3 == pytest.approx(node.volume_mm3, rel=0.05)
        core = label([Offset(node.solid, -2.0)], grid) == 1
        hu = scan(anatomy.parts, grid, Scanner(noise_hu=0))
        assert np.abs(hu[core] - node.hu).max(initial=0) <= 8


def test_noise_is_correlated_in_the_plane_and_has_its_level_in_a_trunk_of_usual_thickness() -> None:
    everywhere = BodyPart("water", "organ", HalfSpace((0, 0, 1e5), (0, 0, 1)), 0.0)

    def water(side: int) -> NDArray[np.float64]:
        grid = Geometry((6, side, side), np.zeros(3), np.array([0.8, 0.8, 2.0]))
        return scan([everywhere], grid, Scanner(noise_hu=20, seed=1)).astype(float)

    usual = water(300)
    assert usual.std() == pytest.approx(20, rel=0.15)
    assert water(125).std() < 0.9 * usual.std()
    neighbours = np.corrcoef(usual[:, :, :-1].ravel(), usual[:, :, 1:].ravel())[0, 1]
    assert 0.2 < neighbours < 0.9


def test_a_thick_slice_is_the_weighted_mean_of_thin_ones(anatomy: Anatomy) -> None:
    def scanned(slices: int, lowest: float, thickness_mm: float) -> NDArray[np.float64]:
        grid = Geometry((slices, 80, 80), np.array([-80.0, -90.0, lowest]), np.array([2.0, 2.0, 1.0]))
        return scan(anatomy.parts, grid, Scanner(noise_hu=0, thickness_mm=thickness_mm)).astype(float)

    thin, thick = scanned(15, 233.0, 1.0), scanned(1, 240.0, 5.0)[0]
    # Variances of the slice profiles add.
    weight = np.exp(-4 * np.log(2) * np.arange(-7, 8) ** 2 / (5.0**2 - 1.0**2))
    mean = np.tensordot(weight / weight.sum(), thin, axes=1)
    assert np.abs(thick - thin[7]).mean() > 2 * np.abs(thick - mean).mean()
    assert np.abs(thick - mean).mean() < 5


def test_tilted_grids_are_refused() -> None:
    turned = np.array([(1, 0, 0), (0, 0, -1), (0, 1, 0)], dtype=float)
    with pytest.raises(ValueError, match="axial LPS"):
        scan([], Geometry((2, 2, 2), np.zeros(3), np.ones(3), turned), Scanner())


@pytest.mark.parametrize("make", [make_head, make_legs])
def test_a_head_and_legs_have_bone_and_soft_tissue_but_no_lungs(make: Callable[[PhantomSpec], Volume]) -> None:
    volume = make(PhantomSpec(1, (4, 4, 4), noise_hu=0))
    inside = volume.hu > -500
    assert inside.any(axis=(1, 2)).mean() > 0.9
    assert ((volume.hu > 20) & (volume.hu < 80)).sum() > 1000
    assert (volume.hu > 400).sum() > 300
    assert not ((volume.hu > -900) & (volume.hu < -820)).sum() > 0.05 * inside.sum()


@pytest.mark.parametrize("make", [make_head, make_legs])
def test_a_head_and_legs_hold_no_search_region(make: Callable[[PhantomSpec], Volume]) -> None:
    volume = make(PhantomSpec(1, (2, 2, 3)))
    with pytest.raises(CtlymphError, match="neither a mediastinum nor an abdomen"):
        find_regions(find_landmarks(volume))


def test_nearly_all_nodes_lie_in_the_search_region_of_their_name(anatomy: Anatomy) -> None:
    phantom = scan_patient(anatomy, PhantomSpec(SEED, (2, 2, 3)))
    regions = {region.name: region for region in find_regions(find_landmarks(phantom.volume))}
    inside = [
        bool(
            regions[node.region].mask[
                tuple(np.rint(regions[node.region].geometry.mm_to_index(node.centre_mm)).astype(int)[::-1])
            ]
        )
        for node in phantom.nodes
        if node.marked
    ]
    assert sum(inside) >= len(inside) - 1
