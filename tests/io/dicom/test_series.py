"""Every odd series that archives hold, read as docs/reading.md says."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.pixels import compress
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from scipy import ndimage

from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import Advance
from ctlymph.core.volume import Geometry, geometry_of
from ctlymph.io.dicom.files import holds_dicom
from ctlymph.io.dicom.series import ReadOptions, list_series, read_dicom
from dicom_factory import (
    AXIAL,
    CT,
    MR,
    SECONDARY_CAPTURE,
    SEG,
    SHAPE,
    SR,
    SeriesPlan,
    enhanced,
    hu_volume,
    plain_object,
    set_pixels,
    truth_object,
)


def simpleitk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def says(volume_notes: tuple[str, ...], *words: str) -> bool:
    return any(all(word in note for word in words) for note in volume_notes)


# --- plain series: voxels, geometry, attributes ---------------------------------------------------------------------

COS, SIN = np.cos(0.3), np.sin(0.3)
ORIENTATIONS = {
    "axial": AXIAL,
    "negative axes": (1, 0, 0, 0, -1, 0),
    "both axes negative": (-1, 0, 0, 0, -1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "oblique": (COS, SIN, 0, -SIN * COS, COS * COS, SIN),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_voxels_and_geometry_are_those_of_simpleitk(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    plan = SeriesPlan(orientation=orientation)
    plan.write(tmp_path)
    volume, image = read_dicom(tmp_path), simpleitk(tmp_path)
    np.testing.assert_array_equal(volume.hu, sitk.GetArrayFromImage(image))
    assert volume.geometry.matches(geometry_of(image), 1e-3)
    np.testing.assert_allclose(volume.geometry.index_to_mm([0, 0, 3]), plan.positions_mm()[3], atol=1e-6)
    assert volume.notes == ()


def test_attributes_follow_the_slices(tmp_path: Path) -> None:
    paths = SeriesPlan().write(tmp_path)
    volume = read_dicom(tmp_path)
    assert volume.case == "PATIENT_1"
    assert volume.attributes == {
        "path": str(tmp_path),
        "PatientID": "PATIENT_1",
        "StudyInstanceUID": "61.7.10",
        "SeriesInstanceUID": "61.7.100",
        "FrameOfReferenceUID": "61.7.20",
        "SeriesDescription": "small",
        "Modality": "CT",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "PatientPosition": "HFS",
        "source_uids": tuple(f"61.7.100.{n}" for n in range(6)),
        "sop_instance_uids": tuple(f"61.7.100.{n}" for n in range(6)),
        "files": tuple(map(str, paths)),
        "frame_numbers": (1,) * 6,
        "interpolated_slices": (),
        "segmentations": (),
        "reports": (),
    }


def test_feet_first_keeps_positions(tmp_path: Path) -> None:
    def feet_first(dataset: Dataset, number: int) -> None:
        dataset.PatientPosition, dataset.InstanceNumber = "FFS", 6 - number

    SeriesPlan(edit=feet_first).write(tmp_path)
    assert read_dicom(tmp_path).geometry.matches(geometry_of(simpleitk(tmp_path)), 1e-6)


def test_the_case_is_the_folder_or_file_without_patient_id(tmp_path: Path) -> None:
    paths = SeriesPlan(edit=lambda dataset, _: setattr(dataset, "PatientID", "")).write(tmp_path / "some.scan")
    assert read_dicom(tmp_path / "some.scan").case == "some.scan"
    assert read_dicom(paths[0]).case == paths[0].stem


def test_the_collection_lacks_numbers_and_thickness_and_uids_begin_with_61(shared_data: Path) -> None:
    volume = read_dicom(shared_data / "nih" / "slices" / "1-416.dcm")
    assert volume.hu.shape == (1, 512, 512)
    assert volume.attributes["SeriesInstanceUID"].startswith("61.7.")
    assert says(volume.notes, "one slice only", "1 mm")
    masks = np.load(shared_data / "nih" / "node_masks_odd_cases.npz")
    name = "ABD_LYMPH_001_lesion_04"
    shape = tuple(masks[f"{name}__shape"])
    mask = np.unpackbits(masks[name])[: np.prod(shape)].reshape(shape).astype(bool)
    ijk = np.argwhere(mask)
    lps_mm = (np.column_stack((ijk, np.ones(len(ijk)))) @ masks[f"{name}__affineRAS"].T)[:, :3] * (-1, -1, 1)
    index = np.rint(volume.geometry.mm_to_index(lps_mm)).astype(int)
    i, j, _ = index[index[:, 2] == 0].T
    node = volume.hu[0, j, i]
    assert len(node) == 219
    assert (round(float(node.mean()), 1), round(float(node.std()), 1)) == (55.3, 23.6)


def test_two_slices_far_apart_are_no_volume(shared_data: Path) -> None:
    with pytest.raises(CtlymphError, match=r"missing between z = -579\.60 mm .*262\.00 mm apart"):
        read_dicom(shared_data / "nih" / "slices", ReadOptions(allow_gaps=True))


# --- places: tilt, gaps, uneven steps, jitter -----------------------------------------------------------------------


def blob_hu(points_mm: np.ndarray) -> np.ndarray:
    """Give a smooth ellipsoid in LPS mm, 0…1000 HU above −1000."""
    offset = (points_mm - np.array([3.0, -4.0, 12.0])) / np.array([9.0, 7.0, 11.0])
    return 1000 * np.exp(-0.5 * (offset**2).sum(axis=-1)) - 1000


def sampled(plan: SeriesPlan, positions_mm: np.ndarray) -> np.ndarray:
    rows, columns = plan.hu.shape[1:]
    row, column = np.reshape(plan.orientation, (2, 3))
    v, u = np.mgrid[:rows, :columns]
    in_plane = u[..., None] * plan.spacing_yx_mm[1] * row + v[..., None] * plan.spacing_yx_mm[0] * column
    return np.rint(blob_hu(positions_mm[:, None, None, :] + in_plane)).astype(np.int16)


@pytest.mark.parametrize("tilt_deg", [-22.5, 3.0, 15.0])
def test_gantry_tilt_is_corrected_so_that_a_known_object_lies_where_it_is(tmp_path: Path, tilt_deg: float) -> None:
    angle = np.radians(tilt_deg)
    plan = SeriesPlan(
        hu=hu_volume((14, 60, 60)),
        orientation=(1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle))),
        spacing_yx_mm=(1.0, 1.0),
    )
    positions = np.array([(-30.0, -30.0, -1.0 + 2.0 * n) for n in range(14)])
    plan.hu = sampled(plan, positions)
    plan.edit = lambda dataset, n: setattr(dataset, "ImagePositionPatient", positions[n].tolist())
    plan.write(tmp_path)
    volume = read_dicom(tmp_path)
    assert says(volume.notes, f"gantry tilt of {abs(tilt_deg):.1f}°", "shear")
    assert volume.attributes["sop_instance_uids"] is None
    k, j, i = np.indices(volume.hu.shape)
    truth = blob_hu(volume.geometry.index_to_mm(np.stack((i, j, k), axis=-1)))
    inside = ndimage.binary_erosion(volume.hu > -1024, np.ones((1, 3, 3)))  # the rest is air around the sheared planes
    assert inside.sum() >= 0.85 * plan.hu.size
    assert np.abs(volume.hu - truth)[inside].max() < 15
    assert volume.geometry.spacing_mm[2] == pytest.approx(2 * np.cos(angle))


def test_a_missing_slice_is_refused_with_its_place_and_the_remedy(tmp_path: Path) -> None:
    SeriesPlan().write(tmp_path)[3].unlink()
    with pytest.raises(CtlymphError, match=r"between z = -306\.00 mm .* and z = -302\.00 mm .*allow_gaps=True"):
        read_dicom(tmp_path)


def test_allowed_gaps_are_interpolated_and_marked(tmp_path: Path) -> None:
    plan = SeriesPlan()
    plan.write(tmp_path)[3].unlink()
    volume = read_dicom(tmp_path, ReadOptions(allow_gaps=True))
    assert says(volume.notes, "1 missing slices were interpolated", "-306.00 mm and -302.00 mm")
    assert volume.attributes["interpolated_slices"] == (3,)
    kept = [0, 1, 2, 4, 5]
    np.testing.assert_array_equal(volume.hu[kept], plan.hu[kept])
    np.testing.assert_allclose(volume.hu[3], (plan.hu[2].astype(float) + plan.hu[4]) / 2, atol=0.5)
    assert volume.geometry.matches(
        Geometry(SHAPE, np.array(plan.origin_mm), np.array([0.625, 0.75, 2.0])), tolerance_mm=1e-6
    )


@pytest.mark.parametrize("missing", [[1], [4], [2, 3], [1, 4]])
def test_gaps_anywhere_within_a_series_are_found(tmp_path: Path, missing: list[int]) -> None:
    paths = SeriesPlan().write(tmp_path)
    for number in missing:
        paths[number].unlink()
    with pytest.raises(CtlymphError, match="missing"):
        read_dicom(tmp_path)
    volume = read_dicom(tmp_path, ReadOptions(allow_gaps=True))
    assert volume.attributes["interpolated_slices"] == tuple(missing)


def test_uneven_slices_are_resampled_to_even_ones(tmp_path: Path) -> None:
    heights = (0.0, 2.0, 4.0, 6.0, 8.5, 11.0, 13.5, 16.0, 19.0)
    ramp = np.rint(np.array(heights)[:, None, None] * 50 + np.zeros((1, 8, 8))).astype(np.int16)
    SeriesPlan(hu=ramp, heights_mm=heights).write(tmp_path)
    volume = read_dicom(tmp_path)
    assert says(volume.notes, "unevenly", "2.00 to 3.00 mm")
    z_mm = volume.geometry.index_to_mm([(0, 0, k) for k in range(len(volume.hu))])[:, 2]
    np.testing.assert_allclose(volume.hu[:, 0, 0], (z_mm + 310) * 50, atol=0.15 * 50)
    assert (z_mm[0], z_mm[-1]) == (pytest.approx(-310), pytest.approx(-291))


def test_a_second_half_with_wider_steps_is_uneven_and_not_a_gap(tmp_path: Path) -> None:
    heights = (*(float(n) for n in range(8)), *(8.0 + 2 * n for n in range(8)))
    SeriesPlan(hu=hu_volume((16, 8, 8)), heights_mm=heights).write(tmp_path)
    volume = read_dicom(tmp_path)
    assert volume.hu.shape[0] == 23
    assert says(volume.notes, "unevenly")


@pytest.mark.parametrize("jitter_mm", [1e-6, 1e-3, 0.02])
def test_jitter_of_positions_changes_nothing(tmp_path: Path, jitter_mm: float) -> None:
    heights = 2.0 * np.arange(6) + jitter_mm * np.random.default_rng(1).uniform(-1, 1, 6)
    plan = SeriesPlan(heights_mm=tuple(heights))
    plan.write(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert volume.notes == ()
    assert volume.geometry.spacing_mm[2] == pytest.approx(2.0, abs=jitter_mm)


# --- copies, strays, several series and acquisitions ----------------------------------------------------------------


def test_copies_with_the_same_uid_are_dropped(tmp_path: Path) -> None:
    plan = SeriesPlan()
    (tmp_path / "copy.dcm").write_bytes(plan.write(tmp_path)[2].read_bytes())
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert says(volume.notes, "1 copies", "same UID")


def test_a_new_uid_at_the_same_place_is_dropped_if_its_pixels_are_the_same(tmp_path: Path) -> None:
    plan = SeriesPlan()
    plan.write(tmp_path)
    again = plan.datasets()[2]
    again.SOPInstanceUID = "61.7.999"
    again.save_as(tmp_path / "again.dcm")
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert says(volume.notes, "same pixels")


def test_a_new_uid_at_the_same_place_is_refused_if_its_pixels_differ(tmp_path: Path) -> None:
    plan = SeriesPlan()
    plan.write(tmp_path)
    other = plan.datasets()[2]
    other.SOPInstanceUID = "61.7.999"
    set_pixels(other, plan.hu[0])
    other.save_as(tmp_path / "other.dcm")
    with pytest.raises(CtlymphError, match=r"same position \(z = -306\.00 mm\) and differ") as error:
        read_dicom(tmp_path)
    assert "other.dcm" in str(error.value)
    assert "1-004.dcm" in str(error.value)


def test_localizers_in_the_series_are_dropped(tmp_path: Path) -> None:
    plan = SeriesPlan()
    plan.write(tmp_path)
    scout = SeriesPlan(hu=hu_volume((2, 40, 40)), orientation=(0, 1, 0, 0, 0, -1), prefix="scout-")
    scout.edit = lambda dataset, n: dataset.update(
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SOPInstanceUID": f"61.7.77.{n}"}
    )
    scout.write(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert says(volume.notes, "2 localizer images")


def test_an_unmarked_stray_image_of_another_direction_is_dropped(tmp_path: Path) -> None:
    plan = SeriesPlan()
    plan.write(tmp_path)
    stray = SeriesPlan(hu=hu_volume((1, *SHAPE[1:])), orientation=(1, 0, 0, 0, 0, -1), prefix="stray-")
    stray.edit = lambda dataset, _: setattr(dataset, "SOPInstanceUID", "61.7.77")
    stray.write(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert says(volume.notes, "another size, spacing or direction")


def test_only_localizers_are_refused(tmp_path: Path) -> None:
    SeriesPlan(edit=lambda dataset, _: setattr(dataset, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])).write(
        tmp_path
    )
    with pytest.raises(CtlymphError, match="only localizer"):
        read_dicom(tmp_path)


def test_two_series_of_like_size_are_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    plan, other = SeriesPlan(), SeriesPlan(series_uid="61.7.200", hu=hu_volume(seed=1), prefix="2-")
    plan.write(tmp_path)
    other.write(tmp_path)
    message = r": 61\.7\.100 \(CT, small.* 6 slices\), and 61\.7\.200 .*choose one by its UID"
    with pytest.raises(CtlymphError, match=message):
        read_dicom(tmp_path)
    np.testing.assert_array_equal(read_dicom(tmp_path, ReadOptions(series="61.7.200")).hu, other.hu)
    np.testing.assert_array_equal(read_dicom(tmp_path, ReadOptions(series="61.7.1")).hu, plan.hu)
    with pytest.raises(CtlymphError, match=r"no series 1\.2\.3; it holds 61"):
        read_dicom(tmp_path, ReadOptions(series="1.2.3"))
    assert [(info.uid, info.slices, info.modality) for info in list_series(tmp_path)] == [
        ("61.7.100", 6, "CT"),
        ("61.7.200", 6, "CT"),
    ]


def test_the_clearly_largest_series_of_a_study_is_taken(tmp_path: Path) -> None:
    plan = SeriesPlan()
    plan.write(tmp_path)
    small = SeriesPlan(series_uid="61.7.200", hu=hu_volume((2, *SHAPE[1:])), prefix="2-")
    small.write(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert says(volume.notes, "Of 2 CT series")
    small.study_uid = "61.7.11"  # another examination: nothing says which is meant
    small.write(tmp_path)
    with pytest.raises(CtlymphError, match="choose one by its UID"):
        read_dicom(tmp_path)


@pytest.mark.parametrize("shift_mm", [0.0, 0.7])
def test_two_acquisitions_over_the_same_range_are_separated(tmp_path: Path, shift_mm: float) -> None:
    first = SeriesPlan(edit=lambda dataset, _: setattr(dataset, "AcquisitionNumber", 4))
    first.write(tmp_path)
    second = SeriesPlan(hu=hu_volume(seed=1), prefix="2-", origin_mm=(-100.5, -72.25, -310.0 + shift_mm))
    second.edit = lambda dataset, n: dataset.update({"AcquisitionNumber": 5, "SOPInstanceUID": f"61.7.55.{n}"})
    paths = second.write(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, first.hu)
    assert says(volume.notes, "2 acquisitions", "acquisition number 4", "6 of 12")
    extra = SeriesPlan(hu=hu_volume((7, *SHAPE[1:])), prefix="3-", origin_mm=second.origin_mm)
    extra.edit = lambda dataset, n: dataset.update({"AcquisitionNumber": 6, "SOPInstanceUID": f"61.7.56.{n}"})
    extra.write(tmp_path)
    assert says(read_dicom(tmp_path).notes, "acquisition number 6", "7 of 19")
    assert len(paths) == 6


def test_acquisitions_that_follow_one_another_stay_one_stack(tmp_path: Path) -> None:
    plan = SeriesPlan(edit=lambda dataset, n: setattr(dataset, "AcquisitionNumber", n // 2))
    plan.write(tmp_path)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, plan.hu)


def test_two_patients_in_one_series_are_refused(tmp_path: Path) -> None:
    SeriesPlan(edit=lambda dataset, n: setattr(dataset, "PatientID", "AB"[n // 3])).write(tmp_path)
    with pytest.raises(CtlymphError, match=r"of patient A and .* of B, in one series"):
        read_dicom(tmp_path)


def test_seg_and_sr_next_to_the_ct_are_offered_as_truth(tmp_path: Path) -> None:
    plan = SeriesPlan()
    plan.write(tmp_path / "ct")
    for name, sop_class, modality, study in (
        ("seg.dcm", SEG, "SEG", "61.7.10"),
        ("sr.dcm", SR, "SR", "61.7.10"),
        ("other.dcm", SEG, "SEG", "61.7.11"),
    ):
        truth_object(sop_class, modality, f"61.7.{len(name)}.{study[-1]}", study).save_as(
            tmp_path / name, enforce_file_format=True
        )
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert volume.attributes["segmentations"] == (str(tmp_path / "seg.dcm"),)
    assert volume.attributes["reports"] == (str(tmp_path / "sr.dcm"),)


# --- pixels: rescale, padding, bits, transfer syntaxes --------------------------------------------------------------


def test_rescale_may_differ_by_slice(tmp_path: Path) -> None:
    def rescaled(dataset: Dataset, number: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + 0.1 * number), str(-3 * number)

    plan = SeriesPlan(edit=rescaled)
    plan.write(tmp_path)
    slope, intercept = 1 + 0.1 * np.arange(6), -3 * np.arange(6)
    truth = np.maximum(np.rint(plan.hu * slope[:, None, None] + intercept[:, None, None]), -1024)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, truth)


@pytest.mark.parametrize("bits", [12, 16])
def test_unsigned_pixels_with_an_intercept(tmp_path: Path, bits: int) -> None:
    plan = SeriesPlan()
    stored = (plan.hu + 1024).astype(np.uint16)

    def unsigned(dataset: Dataset, number: int) -> None:
        set_pixels(dataset, stored[number] | (0 if bits == 16 else 0x8000), bits)  # an old overlay in the unused bits
        dataset.RescaleIntercept = "-1024"

    plan.edit = unsigned
    plan.write(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    np.testing.assert_array_equal(volume.hu, sitk.GetArrayFromImage(simpleitk(tmp_path)))


def test_signed_pixels_of_twelve_bits(tmp_path: Path) -> None:
    plan = SeriesPlan()
    plan.hu = np.clip(plan.hu, -1024, 1999)
    plan.edit = lambda dataset, n: set_pixels(dataset, plan.hu[n] & 0x0FFF, 12)
    plan.write(tmp_path)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, plan.hu)


@pytest.mark.parametrize("tagged", [True, False])
def test_padding_of_minus_3024_becomes_air(tmp_path: Path, tagged: bool) -> None:
    plan = SeriesPlan()
    stored = plan.hu.copy()
    stored[:, :4] = -3024
    stored[:, 5] = -1030  # noise below air

    def padded(dataset: Dataset, number: int) -> None:
        set_pixels(dataset, stored[number])
        if tagged:
            dataset.add_new("PixelPaddingValue", "SS", -3024)

    plan.edit = padded
    plan.write(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, np.maximum(stored, -1024))
    assert says(volume.notes, "Padding")


def test_padding_that_could_be_tissue_is_air_only_where_it_touches_the_edge(tmp_path: Path) -> None:
    plan = SeriesPlan(hu=hu_volume().clip(10, None))
    plan.hu[:, :3, :] = 0
    plan.hu[:, 10, 10] = 0

    def padded(dataset: Dataset, number: int) -> None:
        dataset.add_new("PixelPaddingValue", "SS", 0)

    plan.edit = padded
    plan.write(tmp_path)
    hu = read_dicom(tmp_path).hu
    assert (hu[:, :3] == -1024).all()
    assert (hu[:, 10, 10] == 0).all()


def test_high_padding_becomes_air_everywhere(tmp_path: Path) -> None:
    plan = SeriesPlan()
    stored = (plan.hu + 1024).astype(np.uint16)
    stored[:, 7, 7] = 63536

    def padded(dataset: Dataset, number: int) -> None:
        set_pixels(dataset, stored[number])
        dataset.RescaleIntercept = "-1024"
        dataset.add_new("PixelPaddingValue", "US", 63536)

    plan.edit = padded
    plan.write(tmp_path)
    hu = read_dicom(tmp_path).hu
    assert (hu[:, 7, 7] == -1024).all()
    np.testing.assert_array_equal(hu[:, 8:], plan.hu[:, 8:])


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from([np.int16, np.uint16]),
    slope=st.sampled_from([1.0, 0.5, 2.0, 1.37, -1.0]),
    intercept=st.sampled_from([0.0, -1024.0, 0.5, 31000.0, -40000.0]),
    values=st.lists(st.integers(-32768, 65535), min_size=4, max_size=4),
)
def test_hu_are_rounded_and_cut_at_the_ends_of_int16(
    tmp_path_factory: pytest.TempPathFactory, dtype: type, slope: float, intercept: float, values: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("hu")
    limits = np.iinfo(dtype)
    stored = np.clip(np.array(values), limits.min, limits.max).astype(dtype).reshape(1, 2, 2)

    def rescaled(dataset: Dataset, number: int) -> None:
        set_pixels(dataset, stored[number])
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), str(intercept)

    SeriesPlan(hu=np.zeros((1, 2, 2), np.int16), edit=rescaled).write(folder)
    truth = np.clip(np.rint(stored.astype(float) * slope + intercept), -1024, 32767)
    np.testing.assert_array_equal(read_dicom(folder).hu, truth)


def test_a_missing_rescale_is_said(tmp_path: Path) -> None:
    def without(dataset: Dataset, number: int) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept

    plan = SeriesPlan(edit=without)
    plan.write(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert says(volume.notes, "no rescale slope")


def compressed_by_gdcm(path: Path) -> None:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1], ids=lambda u: u.name
)
@pytest.mark.parametrize("signed", [True, False])
def test_compressed_pixels(tmp_path: Path, syntax: pydicom.uid.UID, signed: bool) -> None:
    plan = SeriesPlan(syntax=ExplicitVRLittleEndian)

    def compressed(dataset: Dataset, number: int) -> None:
        if not signed:
            set_pixels(dataset, (plan.hu[number] + 1024).astype(np.uint16), 12)
            dataset.RescaleIntercept = "-1024"
        if syntax != JPEGLosslessSV1:
            compress(dataset, syntax, generate_instance_uid=False)

    plan.edit = compressed
    paths = plan.write(tmp_path)
    if syntax == JPEGLosslessSV1:
        for path in paths:
            compressed_by_gdcm(path)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, plan.hu)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda uid: uid.name,
)
def test_uncompressed_and_deflated_files(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    plan = SeriesPlan(syntax=syntax)
    plan.write(tmp_path)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, plan.hu)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [3, 5, 0, 1, 4, 2]])
@pytest.mark.parametrize("compression", [None, RLELossless])
def test_enhanced_multi_frame(tmp_path: Path, order: list[int], compression: pydicom.uid.UID | None) -> None:
    plan = SeriesPlan(syntax=ExplicitVRLittleEndian, orientation=(1, 0, 0, 0, -1, 0))
    dataset = enhanced(plan, order)
    if compression:
        compress(dataset, compression, generate_instance_uid=False)
    dataset.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    volume = read_dicom(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(volume.hu, plan.hu)
    np.testing.assert_allclose(volume.geometry.index_to_mm([0, 0, 4]), plan.positions_mm()[4], atol=1e-6)
    assert volume.attributes["frame_numbers"] == tuple(order.index(n) + 1 for n in range(6))
    assert volume.attributes["sop_instance_uids"] == ("61.7.500",) * 6


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=str)
@pytest.mark.parametrize("without", ["preamble", "preamble and meta"])
def test_files_without_preamble_or_file_meta(tmp_path: Path, syntax: pydicom.uid.UID, without: str) -> None:
    plan = SeriesPlan(syntax=syntax)
    for path in plan.write(tmp_path):
        data = path.read_bytes()
        # (0002,0000) holds the length of the rest of the file meta group.
        meta = 132 + 12 + int.from_bytes(data[140:144], "little")
        path.write_bytes(data[132:] if without == "preamble" else data[meta:])
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert volume.geometry.spacing_mm[2] == pytest.approx(2)


# --- where files are ------------------------------------------------------------------------------------------------


def test_nested_folders_and_files_that_are_not_dicom(tmp_path: Path) -> None:
    plan = SeriesPlan()
    for number, path in enumerate(plan.write(tmp_path)):
        (tmp_path / f"part{number % 2}" / "deep").mkdir(parents=True, exist_ok=True)
        path.rename(tmp_path / f"part{number % 2}" / "deep" / path.name)
    (tmp_path / "LICENSE").write_text("Read me. " * 100)
    (tmp_path / "metadata.csv").write_text("a,b\n1,2\n")
    (tmp_path / "part0" / "empty.txt").touch()
    (tmp_path / "part0" / "._1-001.dcm").write_bytes(b"\0\5\x16\7")
    (tmp_path / "part1" / "picture.dcm").write_bytes(b"\x89PNG" * 500)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.hu, plan.hu)
    assert volume.notes == ("picture.dcm is not DICOM, though its name says so, and was passed over.",)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian], ids=["plain", "by pydicom"])
def test_zip_archives_alone_and_in_a_folder(tmp_path: Path, method: int, syntax: pydicom.uid.UID) -> None:
    plan = SeriesPlan(syntax=syntax)
    archive = tmp_path / "scans" / "case.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", method) as file:
        for path in plan.write(tmp_path / "loose"):
            file.write(path, f"PATIENT/CT/{path.name}")
        file.writestr("LICENSE", "words")
        file.writestr("__MACOSX/PATIENT/CT/._1-001.dcm", "words")
    for place in (archive, archive.parent):
        volume = read_dicom(place)
        np.testing.assert_array_equal(volume.hu, plan.hu)
        assert volume.attributes["files"][0] == str(archive / "PATIENT" / "CT" / "1-006.dcm")


def make_dicomdir(folder: Path, lower_case: bool) -> Path:
    from pydicom.fileset import FileSet

    def complete(dataset: Dataset, number: int) -> None:
        dataset.update({"PatientName": "A", "StudyDate": "20140914", "StudyTime": "10", "StudyID": "1"})
        dataset.update({"SeriesNumber": 1, "InstanceNumber": number + 1, "AccessionNumber": ""})

    plan = SeriesPlan(edit=complete, syntax=ExplicitVRLittleEndian)
    files = FileSet()
    for path in plan.write(folder / "loose"):
        files.add(path)
    files.write(folder / "disc")
    if lower_case:
        for place in sorted((folder / "disc").rglob("*"), key=lambda place: -len(place.parts)):
            place.rename(place.with_name(place.name.lower()))
    return folder / "disc"


@pytest.mark.parametrize("lower_case", [True, False])
def test_dicomdir_and_the_folder_that_holds_one(tmp_path: Path, lower_case: bool) -> None:
    disc = make_dicomdir(tmp_path, lower_case)
    dicomdir = disc / ("dicomdir" if lower_case else "DICOMDIR")
    truth = read_dicom(tmp_path / "loose")
    for place in (disc, dicomdir):
        assert holds_dicom(place)
        np.testing.assert_array_equal(read_dicom(place).hu, truth.hu)
    next(path for path in sorted(disc.rglob("*")) if path.is_file() and path != dicomdir).unlink()
    with pytest.raises(CtlymphError, match=r"names PT000000/.* which is not there"):
        read_dicom(dicomdir)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 100, 140, 300, 500, -1500, -100])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless], ids=str)
def test_a_truncated_slice_is_named(tmp_path: Path, left: int, syntax: pydicom.uid.UID) -> None:
    plan = SeriesPlan(syntax=ExplicitVRLittleEndian if syntax.is_compressed and syntax == RLELossless else syntax)
    if syntax == RLELossless:
        plan.edit = lambda dataset, _: compress(dataset, RLELossless, generate_instance_uid=False)
    path = plan.write(tmp_path)[2]
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(CtlymphError, match=r"1-004\.dcm.*truncated.*fetch it again"):
        read_dicom(tmp_path)


def test_a_truncated_file_of_another_series_is_no_obstacle(tmp_path: Path) -> None:
    plan, other = SeriesPlan(), SeriesPlan(series_uid="61.7.200", prefix="2-")
    plan.write(tmp_path)
    path = other.write(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-500])
    np.testing.assert_array_equal(read_dicom(tmp_path, ReadOptions(series="61.7.100")).hu, plan.hu)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "case.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in SeriesPlan().write(tmp_path / "loose"):
            file.write(path, path.name)
    data = bytearray(archive.read_bytes())
    data[1500:1600] = bytes(100)
    archive.write_bytes(data)
    with pytest.raises(CtlymphError, match=r"case\.zip.* is (damaged|truncated)"):
        read_dicom(archive)
    archive.write_bytes(data[:3000])
    with pytest.raises(CtlymphError, match=r"case\.zip"):
        read_dicom(archive)


def test_another_modality_is_named(tmp_path: Path) -> None:
    SeriesPlan(edit=lambda dataset, _: dataset.update({"Modality": "MR", "SOPClassUID": MR})).write(tmp_path)
    with pytest.raises(CtlymphError, match="holds MR and no CT; ctlymph needs a CT series"):
        read_dicom(tmp_path)
    with pytest.raises(CtlymphError, match="holds MR and no CT"):
        read_dicom(tmp_path, ReadOptions(series="61.7.100"))


def test_a_secondary_capture_without_a_place_is_refused(tmp_path: Path) -> None:
    def capture(dataset: Dataset, number: int) -> None:
        dataset.SOPClassUID = SECONDARY_CAPTURE
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing

    SeriesPlan(edit=capture).write(tmp_path)
    with pytest.raises(CtlymphError, match=r"no position in the patient \(a secondary capture"):
        read_dicom(tmp_path)


def test_colour_is_refused(tmp_path: Path) -> None:
    def colour(dataset: Dataset, number: int) -> None:
        set_pixels(dataset, np.zeros(SHAPE[1:], np.uint8))
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.PixelData = bytes(3 * SHAPE[1] * SHAPE[2])

    SeriesPlan(edit=colour).write(tmp_path)
    with pytest.raises(CtlymphError, match="is in colour"):
        read_dicom(tmp_path)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImagePositionPatient", ["nan", "0", "0"]),
        ("ImagePositionPatient", ["1", "2"]),
        ("PixelSpacing", ["0", "1"]),
        ("ImageOrientationPatient", ["1", "0", "0", "1", "0", "0"]),
        ("RescaleSlope", "0"),
        ("RescaleSlope", "nan"),
        ("RescaleIntercept", "inf"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_values_that_make_no_sense_are_refused_with_the_file(tmp_path: Path, keyword: str, value: object) -> None:
    SeriesPlan(edit=lambda dataset, _: setattr(dataset, keyword, value)).write(tmp_path)
    with pytest.raises(CtlymphError, match=r"1-00\d\.dcm"):
        read_dicom(tmp_path)


def test_a_value_that_is_no_number_is_refused_with_the_file(tmp_path: Path) -> None:
    path = SeriesPlan(syntax=ExplicitVRLittleEndian).write(tmp_path)[1]
    path.write_bytes(path.read_bytes().replace(b"-100.5\\", b"minus \\"))
    with pytest.raises(CtlymphError, match=r"1-005\.dcm holds a value that cannot be read"):
        read_dicom(tmp_path)


def test_empty_missing_and_foreign_inputs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("words " * 50)
    (tmp_path / "zero.dcm").touch()
    for name, message in (
        ("empty", "is empty"),
        ("note.txt", "is not a DICOM file"),
        ("zero.dcm", r"truncated \(0 bytes\)"),
        ("nothing", "does not exist"),
    ):
        with pytest.raises(CtlymphError, match=message):
            read_dicom(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads whatever its permissions are")
def test_unreadable_files_and_folders_are_named(tmp_path: Path) -> None:
    path = SeriesPlan().write(tmp_path / "ct")[0]
    path.chmod(0)
    with pytest.raises(CtlymphError, match=r"cannot read .*1-006\.dcm"):
        read_dicom(tmp_path)
    (tmp_path / "ct").chmod(0)
    try:
        with pytest.raises(CtlymphError, match="cannot read the folder"):
            read_dicom(tmp_path)
    finally:
        (tmp_path / "ct").chmod(0o700)


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    SeriesPlan().write(tmp_path)
    (tmp_path / "1-007.dcm").symlink_to(tmp_path / "annexed")
    with pytest.raises(CtlymphError, match=r"cannot read .*1-007\.dcm"):
        read_dicom(tmp_path)


# --- one slice ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "spacing_mm"),
    [({}, 1.0), ({"SliceThickness": 5}, 5.0), ({"SliceThickness": 5, "SpacingBetweenSlices": -4}, 4.0)],
)
def test_one_slice_is_a_volume_of_one_slice(tmp_path: Path, values: dict[str, float], spacing_mm: float) -> None:
    plan = SeriesPlan(edit=lambda dataset, _: dataset.update(values))
    volume = read_dicom(plan.write(tmp_path)[2])
    np.testing.assert_array_equal(volume.hu, plan.hu[2:3])
    assert volume.geometry.spacing_mm[2] == spacing_mm
    np.testing.assert_allclose(volume.geometry.origin_mm, plan.positions_mm()[2])
    assert says(volume.notes, "one slice only")


class Counting:
    """A progress that counts."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        self.counts[description] = [0, total]

        def advance(steps: int) -> None:
            assert threading.current_thread() is threading.main_thread()
            self.counts[description][0] += steps

        yield advance


def test_progress_reaches_its_total(tmp_path: Path) -> None:
    SeriesPlan(hu=hu_volume((21, 8, 8))).write(tmp_path)
    (tmp_path / "words.txt").write_text("words " * 50)
    progress = Counting()
    read_dicom(tmp_path, ReadOptions(progress=progress))
    assert progress.counts == {"Reading headers": [22, 22], "Reading slices": [21, 21]}


# --- real series ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CRLM-CT-1004_dicom", "TotalSegmentator_example_dicom"])
def test_real_series_are_read_as_simpleitk_reads_them(shared_data: Path, tmp_path: Path, name: str) -> None:
    import tarfile

    with tarfile.open(shared_data / "ct" / f"{name}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    volume = read_dicom(tmp_path)
    image = simpleitk(Path(volume.attributes["files"][0]).parent)
    np.testing.assert_array_equal(volume.hu, np.maximum(sitk.GetArrayFromImage(image), -1024))
    assert volume.geometry.matches(geometry_of(image), 1e-3)


def test_the_smallest_object_of_class_ct_is_refused_not_crashed(tmp_path: Path) -> None:
    plain_object(CT, "61.7.1").save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(CtlymphError, match="truncated"):
        read_dicom(tmp_path)
