"""Image files against SimpleITK and nibabel: voxels, places in the patient, and what is refused."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Masks, Volume, geometry_of
from ctlymph.io import read
from ctlymph.io.images import FORMATS, image_suffix, read_image, read_masks, write_image, write_masks

RAS_TO_LPS = np.diag([-1.0, -1, 1, 1])
OBLIQUE = np.array([[0.6, -0.9, 0.4, -20], [0.5, 0.7, 1.1, 35], [-0.3, -0.2, 2.2, -410], [0, 0, 0, 1]])
SUFFIXES = (".nii.gz", ".nii", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd")
HU = np.random.default_rng(0).integers(-1000, 1500, (4, 5, 6)).astype(np.int16)


def orthogonal(affine: np.ndarray) -> np.ndarray:
    """Give a rectangular grid near ``affine``."""
    columns, _ = np.linalg.qr(affine[:3, :3])
    result = affine.copy()
    result[:3, :3] = columns * (0.7, 0.9, 2.5)
    return result


def nifti(
    path: Path, values: np.ndarray = HU, affine: np.ndarray | None = None, slope: float = 1, inter: float = 0
) -> Path:
    """Write ``values`` (z, y, x) with nibabel."""
    image = nib.Nifti1Image(values.T, np.diag([-0.7, -0.7, 2.5, 1]) if affine is None else affine)
    image.header.set_slope_inter(slope, inter)
    nib.save(image, path)
    return path


def broken(path: Path, source: Path, keep: float = 0.5) -> Path:
    content = source.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def assert_same(volume: Volume, other: Volume) -> None:
    np.testing.assert_array_equal(volume.hu, other.hu)
    assert volume.geometry.matches(other.geometry, tolerance_mm=1e-4)


# Round trips


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_oblique_volume_comes_back_from_every_format(tmp_path: Path, oblique_volume: Volume, suffix: str) -> None:
    path = tmp_path / f"a.b{suffix}"
    write_image(oblique_volume, path)
    volume = read(path)
    assert_same(volume, oblique_volume)
    assert volume.case == "a.b"
    assert volume.notes == ()
    assert volume.hu.flags.c_contiguous
    with pytest.raises(CtlymphError, match="exists"):
        write_image(oblique_volume, path)
    write_image(oblique_volume, path, overwrite=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_simpleitk_reads_what_was_written_at_the_same_place(
    tmp_path: Path, oblique_volume: Volume, suffix: str
) -> None:
    for volume in (oblique_volume, oblique_volume.reorient("RAS"), oblique_volume.reorient("LAI")):
        write_image(volume, tmp_path / f"ct{suffix}", overwrite=True)
        image = sitk.ReadImage(str(tmp_path / f"ct{suffix}"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.hu)
        assert volume.geometry.matches(geometry_of(image), tolerance_mm=1e-4)


def test_nibabel_reads_what_was_written_in_its_own_ras(tmp_path: Path, oblique_volume: Volume) -> None:
    write_image(oblique_volume, tmp_path / "ct.nii.gz")
    image = nib.load(tmp_path / "ct.nii.gz")
    np.testing.assert_allclose(RAS_TO_LPS @ image.affine, oblique_volume.geometry.affine, atol=1e-4)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
    assert image.get_data_dtype() == np.int16
    assert image.header.get_xyzt_units()[0] == "mm"


def test_both_files_of_a_pair_are_read_under_either_name(tmp_path: Path, oblique_volume: Volume) -> None:
    write_image(oblique_volume, tmp_path / "ct.hdr")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ct.hdr", "ct.img"]
    assert_same(read_image(tmp_path / "ct.hdr"), read_image(tmp_path / "ct.img"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_instance_masks_with_gaps_come_back_from_every_format(
    tmp_path: Path, oblique_volume: Volume, suffix: str
) -> None:
    labels = np.zeros(oblique_volume.hu.shape, dtype=np.uint16)
    labels[1:3, 2:4, 1:5], labels[4, 0, 0], labels[5, 6, 7] = 2, 700, 65535
    write_masks(Masks(labels, oblique_volume.geometry), tmp_path / f"m{suffix}")
    masks = read_masks(tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(masks.labels, labels)
    assert masks.geometry.matches(oblique_volume.geometry, tolerance_mm=1e-4)


@pytest.mark.parametrize("name", ["TotalSegmentator_example_abdomen_pelvis_3mm", "Lung_Dx-A0001_chest"])
def test_a_real_ct_is_read_as_simpleitk_reads_it(shared_data: Path, name: str) -> None:
    path = shared_data / "ct" / f"{name}.nii.gz"
    image = sitk.ReadImage(str(path))
    volume = read(path)
    expected = np.clip(np.rint(sitk.GetArrayFromImage(image)), -1024, 32767)
    np.testing.assert_array_equal(volume.hu, expected)
    assert volume.geometry.matches(geometry_of(image), tolerance_mm=1e-3)
    assert volume.case == name


# What voxels and affines may be


@pytest.mark.parametrize("kind", ["i1", "u1", "<i2", ">i2", "u2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize(("slope", "inter"), [(1, 0), (1, -1024), (2, 10), (0.5, 0.25)])
def test_slope_and_intercept_are_applied_to_every_type(tmp_path: Path, kind: str, slope: float, inter: float) -> None:
    stored = (np.abs(HU) % 100).astype(kind)
    header = nib.Nifti1Header(endianness=">" if kind.startswith(">") else "<")
    header.set_data_dtype(kind)
    header.set_data_shape(stored.shape[::-1])
    header.set_sform(np.eye(4), 1)
    header["magic"], header["vox_offset"], header["scl_slope"], header["scl_inter"] = b"n+1", 352, slope, inter
    (tmp_path / "ct.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(4) + stored.tobytes()))
    volume = read_image(tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(volume.hu, np.clip(np.rint(stored * float(slope) + inter), -1024, 32767))
    assert ("values were rounded to whole HU" in volume.notes) == (slope == 0.5)


def test_values_beyond_hu_are_cut_and_reported(tmp_path: Path) -> None:
    values = HU.astype(np.float32)
    values[0, 0, :5] = (np.nan, np.inf, -3024, -1025, 40000)
    volume = read_image(nifti(tmp_path / "ct.nii", values))
    assert volume.hu[0, 0, :5].tolist() == [-1024, -1024, -1024, -1024, 32767]
    np.testing.assert_array_equal(volume.hu.ravel()[5:], HU.ravel()[5:])
    assert volume.notes == (
        "2 voxels that were NaN or infinite became air (-1024 HU)",
        "2 voxels below -1024 HU (padding) became -1024 HU",
        "1 voxels above 32767 HU were cut to it",
    )


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_an_oblique_nifti_lies_where_simpleitk_puts_it(tmp_path: Path, mirror: float) -> None:
    affine = orthogonal(OBLIQUE) @ np.diag([mirror, 1, 1, 1])
    path = nifti(tmp_path / "ct.nii.gz", affine=affine)
    assert read_image(path).geometry.matches(geometry_of(sitk.ReadImage(str(path))), tolerance_mm=1e-4)
    np.testing.assert_allclose(read_image(path).geometry.affine, RAS_TO_LPS @ affine, atol=1e-4)


def test_the_sform_is_believed_where_qform_and_spacing_say_otherwise(tmp_path: Path) -> None:
    image = nib.Nifti1Image(HU.T, None)
    image.set_sform(np.diag([-0.7, -0.7, 2.0, 1]), 1)
    image.set_qform(np.diag([-1.0, -1, 1, 1]), 1)
    nib.save(image, tmp_path / "ct.nii")
    assert read_image(tmp_path / "ct.nii").geometry.spacing_mm == pytest.approx([0.7, 0.7, 2.0])


def test_the_qform_is_used_where_there_is_no_sform(tmp_path: Path) -> None:
    image = nib.Nifti1Image(HU.T, None)
    image.set_qform(orthogonal(OBLIQUE), 1)
    nib.save(image, tmp_path / "ct.nii")
    expected = geometry_of(sitk.ReadImage(str(tmp_path / "ct.nii")))
    assert read_image(tmp_path / "ct.nii").geometry.matches(expected, tolerance_mm=1e-3)


def test_a_trailing_axis_of_one_is_no_fourth_dimension(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(HU.T[..., None], np.eye(4)), tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "ct.nii.gz").hu, HU)
    (tmp_path / "ct.mha").write_bytes(
        b"NDims = 4\nDimSize = 6 5 4 1\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + HU.tobytes()
    )
    np.testing.assert_array_equal(read_image(tmp_path / "ct.mha").hu, HU)


@pytest.mark.parametrize("unit", ["meter", "micron", "mm"])
def test_lengths_in_other_units_become_millimetres(tmp_path: Path, unit: str) -> None:
    factor = {"meter": 0.001, "micron": 1000.0, "mm": 1.0}[unit]
    image = nib.Nifti1Image(HU.T, np.diag([-0.7 * factor, -0.7 * factor, 2.5 * factor, 1]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "ct.nii")
    assert read_image(tmp_path / "ct.nii").geometry.spacing_mm == pytest.approx([0.7, 0.7, 2.5], rel=1e-5)


def test_axes_a_rounding_error_off_a_right_angle_are_straightened(tmp_path: Path) -> None:
    affine = np.diag([-0.8, -0.8, 2.0, 1])
    affine[0, 1] = 0.0004
    large = np.zeros((10, 512, 512), dtype=np.int16)
    volume = read_image(nifti(tmp_path / "ct.nii.gz", large, affine))
    direction = volume.geometry.direction
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-12)
    corners = np.array([[0, 0, 0], [511, 511, 9], [511, 0, 9], [0, 511, 0]])
    stated = corners @ (RAS_TO_LPS @ affine)[:3, :3].T
    assert np.abs(volume.geometry.index_to_mm(corners) - stated).max() < 0.1
    assert "straightened" in volume.notes[0]
    # What was straightened can be read by others again.
    write_image(volume, tmp_path / "out.nii.gz")
    assert volume.geometry.matches(geometry_of(sitk.ReadImage(str(tmp_path / "out.nii.gz"))), tolerance_mm=1e-3)


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Spm99AnalyzeImage])
def test_analyze_is_read_with_a_warning_that_it_has_no_orientation(tmp_path: Path, kind: type) -> None:
    image = kind(HU.T, None)
    image.header.set_zooms((0.7, 0.8, 2.5))
    image.to_filename(tmp_path / "ct.img")
    volume = read_image(tmp_path / "ct.hdr")
    np.testing.assert_array_equal(volume.hu, HU)
    assert volume.geometry.orientation == "LAS"
    assert volume.geometry.spacing_mm == pytest.approx([0.7, 0.8, 2.5])
    assert "Analyze files contain no orientation" in volume.notes[0]


def test_a_nifti_or_nrrd_without_orientation_says_what_was_assumed(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(HU.T, None), tmp_path / "ct.nii")
    volume = read_image(tmp_path / "ct.nii")
    assert volume.geometry.orientation == "LAS"
    assert "states no orientation" in volume.notes[0]
    (tmp_path / "ct.nrrd").write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\nspacings: 1 2 3\nendian: little\nencoding: raw\n\n"
        + HU.tobytes()
    )
    volume = read_image(tmp_path / "ct.nrrd")
    assert volume.geometry.orientation == "LPS"
    assert "names no space" in volume.notes[0]


# What is refused


def refusals(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return files that cannot be read, each with words of its error."""
    whole = nifti(
        folder / "whole.nii.gz", np.random.default_rng(0).integers(-1000, 1000, (20, 40, 40)).astype(np.int16)
    )
    for suffix in (".mha", ".nrrd", ".nii"):
        sitk.WriteImage(sitk.ReadImage(str(whole)), str(folder / f"whole{suffix}"), useCompression=True)
    sheared = np.diag([-0.7, -0.7, 2.5, 1])
    sheared[0, 2] = 0.5
    nan = bytearray(nifti(folder / "nan.nii").read_bytes())
    nan[280:284] = np.float32(np.nan).tobytes()  # srow_x[0]
    (folder / "nan.nii").write_bytes(nan)
    (folder / "nan.mha").write_bytes(
        b"NDims = 3\nDimSize = 6 5 4\nOffset = nan 0 0\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
        + HU.tobytes()
    )
    (folder / "text.nii.gz").write_text("hello")
    (folder / "text.nrrd").write_text("hello")
    (folder / "text.mha").write_text("hello")
    (folder / "empty.nii.gz").write_bytes(b"")
    (folder / "zipped.nii.gz").write_bytes(gzip.compress(b"hello" * 200))
    (folder / "alone.hdr").write_bytes((folder / "whole.nii").read_bytes()[:348])
    (folder / "alone.mhd").write_bytes(
        b"NDims = 3\nDimSize = 6 5 4\nElementType = MET_SHORT\nElementDataFile = a.raw\n"
    )
    for suffix in (".mha", ".nrrd", ".nii.gz"):
        garbled = bytearray((folder / f"whole{suffix}").read_bytes())
        garbled[len(garbled) // 2] ^= 0xFF
        (folder / f"garbled{suffix}").write_bytes(garbled)
    colour = np.zeros((6, 5, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colour, np.eye(4)), folder / "colour.nii")
    sitk.WriteImage(sitk.Image([6, 5, 4], sitk.sitkVectorInt16, 3), str(folder / "vector.nrrd"))
    sitk.WriteImage(sitk.Image([6, 5], sitk.sitkInt16), str(folder / "flat.mha"))
    damaged = "damaged, incomplete or not what its name says; export or download it again"
    return {
        "2D": (nifti(folder / "flat.nii", HU[0]), "is a 2D image (6 × 5), not a 3D one; give the whole CT volume"),
        "2D MetaImage": (folder / "flat.mha", "is a 2D image (6 × 5)"),
        "4D": (nifti(folder / "series.nii", np.stack([HU, HU])), "is a 4D image (6 × 5 × 4 × 2), not a 3D one; save"),
        "colour": (folder / "colour.nii", "3 numbers per voxel"),
        "vectors": (folder / "vector.nrrd", "3 numbers per voxel"),
        "complex": (nifti(folder / "complex.nii", HU.astype(np.complex64)), "2 numbers per voxel"),
        "sheared": (nifti(folder / "sheared.nii", affine=sheared), "axes are not perpendicular (sheared); resample"),
        "NaN affine": (
            folder / "nan.nii",
            "the image's affine holds NaN, infinity or a zero column; repair its header",
        ),
        "NaN origin": (folder / "nan.mha", "Offset contains NaN or infinity; repair its header"),
        "0 bytes": (folder / "empty.nii.gz", damaged),
        "text as NIfTI": (folder / "text.nii.gz", damaged),
        "text as NRRD": (folder / "text.nrrd", damaged),
        "text as MetaImage": (folder / "text.mha", damaged),
        "not NIfTI within gzip": (folder / "zipped.nii.gz", damaged),
        "half a .nii.gz": (broken(folder / "half.nii.gz", whole), damaged),
        "a .nii.gz less a byte": (broken(folder / "less.nii.gz", whole, 0.99), damaged),
        "half a .nii": (broken(folder / "half.nii", folder / "whole.nii"), damaged),
        "half a .mha": (broken(folder / "half.mha", folder / "whole.mha"), damaged),
        "half a .nrrd": (broken(folder / "half.nrrd", folder / "whole.nrrd"), damaged),
        "a garbled .mha": (folder / "garbled.mha", damaged),
        "a garbled .nrrd": (folder / "garbled.nrrd", damaged),
        "a garbled .nii.gz": (folder / "garbled.nii.gz", damaged),
        "a header without its .img": (folder / "alone.hdr", "its data file must be in the same folder"),
        "a header without its .raw": (folder / "alone.mhd", "its data file must be in the same folder"),
        "absent": (folder / "absent.nii", "does not exist"),
    }


def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cases = refusals(tmp_path)
    capfd.readouterr()
    for case, (path, words) in cases.items():
        for reader in (read, read_masks):
            with pytest.raises(CtlymphError) as caught:
                reader(path)
            message = str(caught.value)
            assert path.name in message, case
            assert words in message, case
            assert "\n" not in message, case
    # Neither ITK nor nibabel says more, on top of the one line.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("value", "kind"), [(-1, np.int16), (70000, np.int32), (1.5, np.float32), (np.nan, np.float32)]
)
def test_masks_that_are_no_label_maps_are_refused(tmp_path: Path, value: float, kind: type) -> None:
    labels = np.zeros((4, 5, 6), dtype=kind)
    labels[2, 3, 1] = value
    with pytest.raises(CtlymphError, match=rf"m\.nii contains the value {value:g}, .*whole numbers from 0 to 65535"):
        read_masks(nifti(tmp_path / "m.nii", labels))


def test_float_masks_of_whole_numbers_are_label_maps(tmp_path: Path) -> None:
    labels = np.zeros((4, 5, 6), dtype=np.float32)
    labels[2, 3, 1:3] = (7, 65535)
    np.testing.assert_array_equal(read_masks(nifti(tmp_path / "m.nii", labels)).labels, labels)


def test_a_folder_of_images_is_refused_with_their_names(tmp_path: Path, oblique_volume: Volume) -> None:
    for name in ("a.nii.gz", "b.nrrd"):
        write_image(oblique_volume, tmp_path / name)
    with pytest.raises(CtlymphError, match=r"holds image files and no DICOM \(a\.nii\.gz, b\.nrrd\); give one of"):
        read(tmp_path)


def test_what_is_no_image_and_no_dicom_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    for name in ("empty", "notes.txt", "absent"):
        with pytest.raises(CtlymphError, match=name):
            read(tmp_path / name)


def test_a_series_cannot_be_chosen_from_an_image_file(tmp_path: Path, oblique_volume: Volume) -> None:
    write_image(oblique_volume, tmp_path / "ct.nii")
    with pytest.raises(CtlymphError, match="no DICOM series"):
        read(tmp_path / "ct.nii", series="1.2")


def test_an_unknown_suffix_is_refused_with_those_known(tmp_path: Path, oblique_volume: Volume) -> None:
    with pytest.raises(CtlymphError, match=r"\.nii\.gz"):
        write_image(oblique_volume, tmp_path / "ct.png")
    assert image_suffix(Path("CT.NII.GZ")) == ".nii.gz"
    assert image_suffix(Path("slice.dcm")) is None
    assert set(SUFFIXES) == set(FORMATS) - {".img"}


FULL_DISK = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from ctlymph.core.errors import CtlymphError
from ctlymph.io.images import write_image
from ctlymph.core.volume import Geometry, Volume
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
hu = np.random.default_rng(0).integers(-1000, 1000, (20, 100, 100)).astype(np.int16)
try:
    write_image(Volume(hu, Geometry(hu.shape, np.zeros(3), np.ones(3))), Path(sys.argv[1]))
except CtlymphError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system has no limit on the size of files")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_is_full_leaves_an_error_and_no_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ct{suffix}"
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert f"cannot write {path}" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


WITHOUT_STDERR = """
import os, sys
from pathlib import Path
import numpy as np
from ctlymph.core.volume import Geometry, Volume
from ctlymph.io.images import read_image, write_image
os.close(2)
sys.stderr = None
path, grid = Path(sys.argv[1]), Geometry((2, 3, 4), np.zeros(3), np.ones(3))
write_image(Volume(np.full(grid.shape_zyx, 7, np.int16), grid), path)
assert (read_image(path).hu == 7).all()
try:
    os.fstat(2)
except OSError:
    print("closed as before")
"""


def test_a_program_without_a_terminal_reads_and_writes_images(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_STDERR, tmp_path / "a.mha"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "closed as before\n"
