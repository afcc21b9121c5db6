"""Landmarks and search regions, on the phantom and on real CTs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctlymph.anatomy.landmarks import Landmarks, find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Volume
from ctlymph.io import read
from ctlymph.phantom.scan.patient import Phantom

REAL = {
    "ACRIN-FLT-Breast_001_lower_chest_to_pelvis.nii.gz": {"mediastinum", "abdomen"},
    "CMB-CRC_MSB-01068_chest.nii.gz": {"mediastinum"},
    "Lung_Dx-A0001_chest.nii.gz": {"mediastinum", "abdomen"},
    "RIDER-Pilot_0117_lower_chest.nii.gz": {"mediastinum", "abdomen"},
    "TotalSegmentator_example_abdomen_pelvis_3mm.nii.gz": {"abdomen"},
}


@pytest.fixture(scope="module")
def landmarks(phantom: Phantom) -> Landmarks:
    return find_landmarks(phantom.volume)


def volume_of(hu: np.ndarray, spacing_mm: float = 3.0) -> Volume:
    geometry = Geometry(hu.shape, np.zeros(3), np.full(3, spacing_mm))
    return Volume(hu.astype(np.int16), geometry)


def cylinders(radius_mm: float, centres_mm: list[tuple[float, float]], bone_mm: tuple[float, float]) -> Volume:
    """Upright cylinders of tissue in air, each with a ring of bone around its axis: legs, arms or a head."""
    y, x = np.mgrid[0:100, 0:120] * 3.0
    plane = np.full(y.shape, -1000.0)
    for cx, cy in centres_mm:
        away = np.hypot(x - cx, y - cy)
        plane[away < radius_mm] = 40
        plane[(away > bone_mm[0]) & (away < bone_mm[1])] = 900
    return volume_of(np.repeat(plane[None], 60, axis=0))


def test_every_annotated_node_of_the_phantom_lies_in_the_region_of_its_name(
    phantom: Phantom, landmarks: Landmarks
) -> None:
    regions = {region.name: region for region in find_regions(landmarks)}
    assert set(regions) == {"mediastinum", "abdomen"}
    for node in (node for node in phantom.nodes if node.marked):
        region = regions[node.region]
        assert region.mask[region.geometry.nearest_voxel(node.centre_mm)[::-1]], (node.region, node.station)


def test_the_regions_leave_out_lungs_bone_of_the_back_and_air_around_the_body(landmarks: Landmarks) -> None:
    for region in find_regions(landmarks):
        assert not (region.mask & landmarks.lungs).any()
        assert (region.mask & ~landmarks.body).mean() == 0
        assert not region.mask[:, -1].any()


def test_regions_do_not_overlap(landmarks: Landmarks) -> None:
    first, second = find_regions(landmarks)
    assert not (first.mask & second.mask).any()


def test_the_table_is_not_part_of_the_body(landmarks: Landmarks) -> None:
    backmost = np.flatnonzero(landmarks.body.any(axis=(0, 2))).max()
    spine = landmarks.spine[landmarks.spine[:, 2] > 0.15, 1].mean()
    assert (backmost - spine) * landmarks.geometry.spacing_mm[1] < 130


def test_the_carina_of_the_phantom_is_found(landmarks: Landmarks) -> None:
    assert landmarks.airway.carina_ijk is not None
    i, j, _ = landmarks.airway.carina_ijk
    k = int(landmarks.airway.carina_ijk[2])
    spine_i, spine_j, _ = landmarks.spine[k]
    assert abs(i - spine_i) * 3 < 25
    assert 20 < (spine_j - j) * 3 < 70


def test_only_the_requested_region_is_returned(landmarks: Landmarks) -> None:
    assert [region.name for region in find_regions(landmarks, "abdomen")] == ["abdomen"]


def test_an_unknown_region_word_is_a_mistake_of_the_caller(landmarks: Landmarks) -> None:
    with pytest.raises(ValueError, match="pelvis"):
        find_regions(landmarks, "pelvis")


@pytest.mark.parametrize(
    ("name", "volume"),
    [
        ("air", volume_of(np.full((30, 60, 60), -1000))),
        ("water", volume_of(np.zeros((30, 60, 60)))),
        ("legs", cylinders(75, [(90, 150), (270, 150)], (7, 15))),
        ("one leg", cylinders(85, [(180, 150)], (7, 15))),
        ("head", cylinders(85, [(180, 150)], (72, 80))),
    ],
)
def test_a_scan_without_chest_or_abdomen_is_rejected_with_what_was_found(name: str, volume: Volume) -> None:
    with pytest.raises(CtlymphError, match=r"neither a mediastinum nor an abdomen.*give a CT of the chest or abdomen"):
        find_regions(find_landmarks(volume))


def test_asking_for_the_abdomen_of_legs_says_that_there_is_none() -> None:
    with pytest.raises(CtlymphError, match="no abdomen"):
        find_regions(find_landmarks(cylinders(75, [(90, 150), (270, 150)], (7, 15))), "abdomen")


def test_the_same_regions_are_found_however_the_array_is_turned(phantom: Phantom, landmarks: Landmarks) -> None:
    turned = find_regions(find_landmarks(phantom.volume.reorient("RAI")))
    for one, other in zip(find_regions(landmarks), turned, strict=True):
        assert one.mask.sum() == pytest.approx(other.mask.sum(), rel=0.03)


@pytest.mark.parametrize("name", REAL)
def test_real_cts_hold_the_regions_that_a_reader_sees(shared_data: Path, name: str) -> None:
    landmarks = find_landmarks(read(shared_data / "ct" / name))
    regions = find_regions(landmarks)
    assert {region.name for region in regions} == REAL[name]
    for region in regions:
        litres = region.mask.sum() * region.geometry.voxel_mm3 / 1e6
        assert 0.3 < litres < 12
        assert not (region.mask & landmarks.lungs).any()


@pytest.mark.parametrize("name", [name for name in REAL if "pelvis" in name])
def test_the_groins_are_searched_on_both_sides_as_far_as_the_skin(shared_data: Path, name: str) -> None:
    landmarks = find_landmarks(read(shared_data / "ct" / name))
    (region,) = find_regions(landmarks, "abdomen")
    hips = slice(5, 10)
    middle = round(float(np.argwhere(landmarks.body[hips])[:, 2].mean()))
    for column in (middle - 20, middle + 20):  # 60 mm
        body, searched = landmarks.body[hips, :, column], region.mask[hips, :, column]
        assert (searched.argmax(axis=1) - body.argmax(axis=1) <= 3).all()
        assert (searched.sum(axis=1) * 3 > 40).all()


def test_a_scan_that_ends_above_the_hips_has_no_groins(phantom: Phantom, landmarks: Landmarks) -> None:
    (whole,) = find_regions(landmarks, "abdomen")
    half = phantom.volume.hu.shape[0] // 2
    upper_half = phantom.volume.crop((half, 0, 0), (phantom.volume.hu.shape[0] - half, *phantom.volume.hu.shape[1:]))
    (upper,) = find_regions(find_landmarks(upper_half), "abdomen")
    at_mm = upper.geometry.index_to_mm(np.argwhere(upper.mask)[:, ::-1])
    also = whole.mask[tuple(np.rint(whole.geometry.mm_to_index(at_mm)).astype(int).T[::-1])]
    assert also.mean() > 0.9


@pytest.mark.parametrize(
    ("name", "carina_mm"), [("CMB-CRC_MSB-01068_chest.nii.gz", -107), ("Lung_Dx-A0001_chest.nii.gz", -245)]
)
def test_the_carina_of_real_chests_is_where_a_reader_sees_it(shared_data: Path, name: str, carina_mm: float) -> None:
    landmarks = find_landmarks(read(shared_data / "ct" / name))
    assert landmarks.airway.carina_ijk is not None
    assert landmarks.geometry.index_to_mm(landmarks.airway.carina_ijk)[2] == pytest.approx(carina_mm, abs=8)
