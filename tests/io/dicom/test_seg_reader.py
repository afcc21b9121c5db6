from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Volume
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import write_ct_series
from ctlymph.io.dicom.seg_reader import read_segmentation


@pytest.fixture
def series(oblique_volume: Volume, tmp_path: Path) -> tuple[Volume, list[pydicom.Dataset]]:
    """A CT as read back from DICOM, and its slices in order."""
    write_ct_series(oblique_volume, tmp_path / "ct")
    ct = read(tmp_path / "ct")
    return ct, [pydicom.dcmread(path) for path in ct.attributes["files"]]


def some_labels(shape: tuple[int, ...]) -> np.ndarray:
    labels = np.zeros(shape, dtype=np.uint8)
    labels[1:3, 2:5, 1:4] = 1
    labels[-1, -1, -1] = 2
    labels[3, 0, 0:3] = 3
    return labels


def test_what_highdicom_writes_on_an_oblique_ct_comes_back_voxel_for_voxel(
    series: tuple[Volume, list[pydicom.Dataset]], tmp_path: Path, write_segmentation: Callable[..., Path]
) -> None:
    ct, slices = series
    labels = some_labels(ct.hu.shape)
    masks = read_segmentation(write_segmentation(tmp_path / "seg.dcm", slices, labels), ct.geometry)
    assert np.array_equal(masks.labels, labels)


def test_a_segmentation_is_placed_on_a_ct_turned_in_storage(
    series: tuple[Volume, list[pydicom.Dataset]], tmp_path: Path, write_segmentation: Callable[..., Path]
) -> None:
    ct, slices = series
    labels = some_labels(ct.hu.shape)
    turned = Volume(labels.astype(np.int16), ct.geometry).reorient("ASR")
    masks = read_segmentation(write_segmentation(tmp_path / "seg.dcm", slices, labels), turned.geometry)
    assert np.array_equal(masks.labels, turned.hu)


def test_what_dcmqi_wrote_is_read_as_highdicom_reads_it(shared_data: Path, tmp_path: Path) -> None:
    with tarfile.open(shared_data / "ct" / "dcmqi_ct_seg_sr.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = next(tmp_path.rglob("segmentations"))
    ct = read(folder)
    masks = read_segmentation(folder / "liver.dcm", ct.geometry)
    assert (masks.labels == 1).sum() == 107_098
    theirs = hd.seg.segread(folder / "liver.dcm").get_volume(combine_segments=True)
    places = np.argwhere(theirs.array) @ theirs.affine[:3, :3].T + theirs.affine[:3, 3]
    i, j, k = np.rint(ct.geometry.mm_to_index(places)).astype(int).T
    assert masks.labels[k, j, i].all()
    assert len(places) == (masks.labels > 0).sum()
    with pytest.raises(CtlymphError, match=r"segments \d and \d overlap"):
        read_segmentation(folder / "partial_overlaps.dcm", ct.geometry)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("shifted", "another grid"),
        ("coarser", "another grid"),
        ("cropped", "reaches beyond the CT"),
    ],
)
def test_a_segmentation_of_another_grid_is_refused(
    series: tuple[Volume, list[pydicom.Dataset]],
    tmp_path: Path,
    change: str,
    message: str,
    write_segmentation: Callable[..., Path],
) -> None:
    ct, slices = series
    path = write_segmentation(tmp_path / "seg.dcm", slices, some_labels(ct.hu.shape))
    grid = ct.geometry
    if change == "shifted":
        grid = Geometry(grid.shape_zyx, grid.origin_mm + 0.4 * grid.spacing_mm, grid.spacing_mm, grid.direction)
    elif change == "coarser":
        grid = Geometry(tuple(2 * n for n in grid.shape_zyx), grid.origin_mm, grid.spacing_mm / 2, grid.direction)
    else:
        grid = grid.crop((0, 0, 0), (2, 3, 3))
    with pytest.raises(CtlymphError, match=message):
        read_segmentation(path, grid)


def test_overlapping_segments_are_refused(
    series: tuple[Volume, list[pydicom.Dataset]], tmp_path: Path, write_segmentation: Callable[..., Path]
) -> None:
    ct, slices = series
    stack = np.zeros((*ct.hu.shape, 2), dtype=np.uint8)
    stack[1, 1:4, 1:4, 0] = stack[1, 3:5, 3:5, 1] = 1
    with pytest.raises(CtlymphError, match="segments 1 and 2 overlap"):
        read_segmentation(write_segmentation(tmp_path / "seg.dcm", slices, stack), ct.geometry)


def test_what_is_no_binary_segmentation_is_refused(
    series: tuple[Volume, list[pydicom.Dataset]], tmp_path: Path, write_segmentation: Callable[..., Path]
) -> None:
    ct, slices = series
    with pytest.raises(CtlymphError, match="is not a DICOM Segmentation"):
        read_segmentation(Path(str(slices[0].filename)), ct.geometry)
    (tmp_path / "text.dcm").write_text("no DICOM at all")
    with pytest.raises(CtlymphError, match=r"cannot read .*text\.dcm"):
        read_segmentation(tmp_path / "text.dcm", ct.geometry)
    fractional = write_segmentation(
        tmp_path / "seg.dcm", slices, some_labels(ct.hu.shape)[..., None].astype(float) / 3, "FRACTIONAL"
    )
    with pytest.raises(CtlymphError, match="holds FRACTIONAL segments"):
        read_segmentation(fractional, ct.geometry)
