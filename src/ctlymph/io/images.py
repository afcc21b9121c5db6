"""CT volumes and instance masks as NIfTI, NRRD, MetaImage and Analyze files.

NIfTI and Analyze are read and written by nibabel: ITK accepts a truncated NIfTI
file as complete and a NaN affine as the identity, and does not notice a full
disk. NRRD and MetaImage are read and written by SimpleITK.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import AIR_HU, Geometry, Masks, Volume, to_sitk
from ctlymph.io.atomic import explained, new_file

FORMATS = {
    ".nii.gz": "NIfTI",
    ".nii": "NIfTI",
    ".hdr": "Analyze",
    ".img": "Analyze",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}
"""Suffixes of image files, in lower case, and the name of each format."""

MAX_HU = int(np.iinfo(np.int16).max)
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MM = {"meter": 1000.0, "micron": 0.001}


def image_suffix(path: Path) -> str | None:
    """Return the suffix in :data:`FORMATS` with which ``path`` ends, or None; upper and lower case are the same.

    >>> image_suffix(Path("ct.NII.gz"))
    '.nii.gz'
    """
    return next((suffix for suffix in FORMATS if path.name.lower().endswith(suffix)), None)


def read_image(path: Path) -> Volume:
    """Read a CT volume; its ``case`` is the name of the file without its suffix.

    Voxels become int16 HU: fractions are rounded, values below −1024 (padding),
    NaN and infinity become −1024, and values above 32767 become 32767. Voxels
    are neither reordered nor resampled. An affine that is sheared by less than
    0.06° is straightened.

    Analyze files, and NIfTI files with neither sform nor qform, contain no
    orientation. As in nibabel, i is assumed to grow to the left, j to the front
    and k to the head. NRRD files without a space are assumed to be LPS, as in
    ITK. All such changes and assumptions are described in the volume's ``notes``.

    >>> grid = Geometry((2, 3, 4), origin_mm=(0, 0, 0), spacing_mm=(0.5, 0.5, 2))
    >>> write_image(Volume(np.full(grid.shape_zyx, 40, dtype=np.int16), grid), Path("ct.nii.gz"))
    >>> read_image(Path("ct.nii.gz"))
    Volume(4 × 3 × 2 voxels of 0.5 × 0.5 × 2 mm, LPS, 0 notes)

    Raises:
        CtlymphError: If the file is absent, damaged or truncated, its format is
            not that of its suffix, it is not a single 3D image with one number
            for each voxel, or its affine is sheared or contains NaN.
    """
    voxels = _load(path)
    hu, notes = _whole_hu(voxels)
    suffix = image_suffix(path) or ""
    attributes = {"path": str(path), "format": FORMATS[suffix]}
    return Volume(hu, voxels.geometry, path.name[: -len(suffix)], (*voxels.notes, *notes), attributes)


def read_masks(path: Path) -> Masks:
    """Read an instance mask: 0 background, any other whole number up to 65535 one node; numbers may have gaps.

    Raises:
        CtlymphError: As :func:`read_image`, or if a voxel is negative, larger
            than 65535 or not a whole number.
    """
    voxels = _load(path)
    if voxels.is_plain and voxels.values.dtype in (np.uint8, np.uint16):
        return Masks(np.ascontiguousarray(voxels.values, dtype=np.uint16), voxels.geometry)
    labels = np.empty(voxels.values.shape, dtype=np.uint16)
    for k in range(len(labels)):
        exact = voxels.scaled(k)
        wrong = ~((exact >= 0) & (exact <= np.iinfo(np.uint16).max) & (np.mod(exact, 1) == 0))
        if wrong.any():
            raise CtlymphError(
                f"{path} contains the value {exact[wrong][0]:g}, but a mask of nodes contains whole numbers from 0 to"
                " 65535, one for each node; export it as a label map"
            )
        labels[k] = exact
    return Masks(labels, voxels.geometry)


def write_image(volume: Volume, path: Path, *, overwrite: bool = False) -> None:
    """Write a volume in the format of the suffix of ``path``; the file appears complete or not at all.

    ``.hdr`` (or ``.img``) writes a NIfTI-1 pair. Programs that know only Analyze
    can read it, and all others find the orientation in it. ``.mhd`` and ``.nhdr``
    write the voxels into a second file in the same folder.

    Args:
        volume: The volume.
        path: The file, with a suffix in :data:`FORMATS`.
        overwrite: Replace a file that exists.

    Raises:
        CtlymphError: If the suffix is not in :data:`FORMATS`, the file exists and
            ``overwrite`` is not set, or it cannot be written.
    """
    _write(volume.hu, volume.geometry, path, overwrite)


def write_masks(masks: Masks, path: Path, *, overwrite: bool = False) -> None:
    """Write an instance mask as uint16, as :func:`write_image` does."""
    _write(masks.labels, masks.geometry, path, overwrite)


@dataclass(frozen=True, eq=False)
class _FileVoxels:
    """Voxels of a file (z, y, x, any real type), which mean ``slope · value + intercept``."""

    values: NDArray[Any]
    geometry: Geometry
    slope: float = 1.0
    intercept: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        return self.slope == 1 and self.intercept == 0

    def scaled(self, k: int) -> NDArray[Any]:
        """Return slice k with slope and intercept applied: int64 if that is exact, else a floating type."""
        values: NDArray[Any] = self.values[k]
        if values.dtype.kind in "iu" and self.slope == 1 and float(self.intercept).is_integer():
            return np.asarray(values.astype(np.int64) + int(self.intercept))
        return np.asarray(values * self.slope + self.intercept)


def _whole_hu(voxels: _FileVoxels) -> tuple[NDArray[np.int16], list[str]]:
    if voxels.is_plain and voxels.values.dtype == np.int16 and voxels.values.min() >= AIR_HU:
        return np.ascontiguousarray(voxels.values, dtype=np.int16), []
    hu = np.empty(voxels.values.shape, dtype=np.int16)
    found: Counter[str] = Counter()
    for k in range(len(hu)):
        exact = voxels.scaled(k)
        finite = np.isfinite(exact)
        found["missing"] += exact.size - int(np.count_nonzero(finite))
        exact = np.where(finite, exact, AIR_HU)
        whole = np.rint(exact)
        found["fractions"] += int(np.count_nonzero(np.abs(exact - whole) > 1e-3))
        found["below"] += int(np.count_nonzero(whole < AIR_HU))
        found["above"] += int(np.count_nonzero(whole > MAX_HU))
        hu[k] = np.clip(whole, AIR_HU, MAX_HU)
    meaning = {
        "missing": f"{found['missing']} voxels that were NaN or infinite became air ({AIR_HU} HU)",
        "fractions": "values were rounded to whole HU",
        "below": f"{found['below']} voxels below {AIR_HU} HU (padding) became {AIR_HU} HU",
        "above": f"{found['above']} voxels above {MAX_HU} HU were cut to it",
    }
    return hu, [text for kind, text in meaning.items() if found[kind]]


def _load(path: Path) -> _FileVoxels:
    suffix = image_suffix(path)
    if suffix is None:
        raise CtlymphError(f"{path} has no image suffix that is known here; use one of {', '.join(FORMATS)}")
    if not path.is_file():
        what = "is a folder, a pipe or a device" if path.exists() else "does not exist"
        raise CtlymphError(f"{path} {what}; give an image file")
    if not os.access(path, os.R_OK):
        raise CtlymphError(f"cannot read {path}: permission denied; change its permissions")
    voxels = _load_nibabel(path) if FORMATS[suffix] in ("NIfTI", "Analyze") else _load_itk(path, FORMATS[suffix])
    native = voxels.values.dtype.newbyteorder("=")
    return replace(voxels, values=voxels.values.astype(native, copy=False))


def _load_nibabel(path: Path) -> _FileVoxels:
    import nibabel as nib
    from isal.igzip_lib import IsalError
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    garbled: Any = IsalError  # its stub takes the class for an instance
    try:
        with _silent_nibabel():
            image: Any = nib.load(path, mmap=False)
            shape = tuple(int(n) for n in image.shape)
            while len(shape) > 3 and shape[-1] == 1:
                shape = shape[:-1]
            kind = image.get_data_dtype()
            _check_kind(path, shape, 2 if kind.kind == "c" else len(kind.names or (1,)))
            values = _read_voxels(path, image.dataobj).reshape(shape[::-1])
    except (
        ImageFileError,
        HeaderDataError,
        OSError,
        EOFError,
        zlib.error,
        garbled,
        ValueError,
        MemoryError,
    ) as error:
        raise _unreadable(path, error) from error
    affine, notes = _nibabel_affine(image)
    geometry, more_notes = _straight_geometry(path, affine, values.shape)
    return _FileVoxels(values, geometry, float(image.dataobj.slope), float(image.dataobj.inter), (*notes, *more_notes))


@contextmanager
def _silent_nibabel() -> Iterator[None]:
    """Suppress nibabel's messages about odd headers; those that matter become errors or notes here."""
    from nibabel.imageglobals import logger  # its own LoggingOutputSuppressor lets warnings through

    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


def _read_voxels(path: Path, data: Any) -> NDArray[Any]:
    """Read the voxels of a nibabel array proxy without scaling, in the order …, z, y, x."""
    if path.suffix.lower() != ".gz":
        # nibabel's arrays are i, j, k in Fortran order: the transpose needs no copy.
        return np.asarray(data.get_unscaled().T)
    from isal import igzip

    # In pieces that fit into the cache: 4 times as fast as nibabel, which uses the gzip module.
    values = np.empty(data.shape[::-1], dtype=data.dtype)
    view = values.reshape(-1).view(np.uint8).data
    with igzip.open(path, "rb") as file:
        file.seek(data.offset)
        filled = 0
        while filled < len(view):
            count = file.readinto(view[filled : filled + (1 << 20)])
            if not count:
                raise EOFError
            filled += count
        file.read(1)  # the checksum is compared at the end of the file
    return values


def _nibabel_affine(image: Any) -> tuple[NDArray[np.float64], list[str]]:
    """Return the matrix from i, j, k to LPS mm, and a note if the file does not contain it."""
    import nibabel as nib

    affine = np.array(image.affine, dtype=np.float64)
    affine[:2] *= -1  # RAS to LPS; a matrix product would warn of infinities, which are rejected later
    if not isinstance(image, nib.Nifti1Pair):
        why = "Analyze files contain no orientation"
    elif image.header["sform_code"] == 0 and image.header["qform_code"] == 0:
        why = "the NIfTI header states no orientation (sform and qform unset)"
    else:
        affine[:3] *= _MM.get(image.header.get_xyzt_units()[0], 1.0)
        return affine, []
    return affine, [_unoriented(why, "left", "front")]


def _load_itk(path: Path, kind: str) -> _FileVoxels:
    import SimpleITK as sitk

    str(path).encode()  # SimpleITK aborts the process at a name that is not UTF-8
    if kind == "MetaImage":
        _check_meta_header(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO({"NRRD": "NrrdImageIO", "MetaImage": "MetaImageIO"}[kind])
    reader.SetFileName(str(path))
    try:
        with _captured_stderr() as captured:
            reader.ReadImageInformation()
            shape = tuple(int(n) for n in reader.GetSize())
            shape = shape[:3] if shape[3:] == (1,) else shape
            _check_kind(path, shape, reader.GetNumberOfComponents())
            image = reader.Execute()
        # MetaIO returns garbage if decompression fails, with a message on standard error only.
        if re.search(r"fail|cannot|not read", captured(), re.IGNORECASE):
            raise RuntimeError(captured())
    except (RuntimeError, MemoryError) as error:
        raise _unreadable(path, error) from error
    image = image[:, :, :, 0] if image.GetDimension() == 4 else image
    values = sitk.GetArrayFromImage(image).reshape(shape[::-1])
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    geometry, notes = _straight_geometry(path, affine, values.shape)
    if kind == "NRRD" and not reader.HasMetaDataKey("NRRD_space"):
        notes.append(_unoriented("the NRRD header names no space", "left", "back"))
    return _FileVoxels(values, geometry, notes=tuple(notes))


def _unoriented(why: str, i: str, j: str) -> str:
    return (
        f"{why}: i was assumed to grow to the patient's {i}, j to the {j}, k to the head;"
        " compare a picture with the original before you rely on left and right"
    )


def _check_meta_header(path: Path) -> None:
    """Reject NaN and infinity in the header, which MetaIO reads as 0."""
    with path.open("rb") as file:
        for line in file:
            key, _, value = line.partition(b"=")
            if re.search(rb"\b(nan|inf)", value, re.IGNORECASE) and b"File" not in key:
                raise CtlymphError(f"{path}: {key.decode().strip()} contains NaN or infinity; repair its header")
            if key.strip() == b"ElementDataFile" or b"=" not in line:
                return


@contextmanager
def _captured_stderr() -> Iterator[Callable[[], str]]:
    """Catch what C++ code prints to standard error; the yielded function returns it, also after the block."""
    if sys.stderr is not None:  # a program without a terminal may have none
        sys.stderr.flush()
    text = ""
    with tempfile.TemporaryFile() as file:  # where standard error is closed, this may take its number
        try:
            kept = os.dup(2)
        except OSError:
            kept = None
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: text
        finally:
            if kept is None:
                os.close(2)
            else:
                os.dup2(kept, 2)
                os.close(kept)
            file.seek(0)
            text = file.read().decode(errors="replace")


def _check_kind(path: Path, shape_ijk: tuple[int, ...], numbers_per_voxel: int) -> None:
    size = " × ".join(str(n) for n in shape_ijk)
    if len(shape_ijk) != 3:
        remedy = "give the whole CT volume" if len(shape_ijk) < 3 else "save one 3D volume of it and give that"
        raise CtlymphError(f"{path} is a {len(shape_ijk)}D image ({size}), not a 3D one; {remedy}")
    if 0 in shape_ijk:
        raise CtlymphError(f"{path} contains no voxels ({size}); export it again")
    if numbers_per_voxel != 1:
        raise CtlymphError(
            f"{path} contains {numbers_per_voxel} numbers per voxel (colour, vectors or complex), not one;"
            " give a CT in HU"
        )


def _unreadable(path: Path, error: Exception) -> CtlymphError:
    companion = (
        " (its data file must be in the same folder)" if image_suffix(path) in (".hdr", ".img", ".mhd", ".nhdr") else ""
    )
    return CtlymphError(
        f"cannot read {path}: it is damaged, incomplete{companion} or not what its name says;"
        " export or download it again"
    )


def _straight_geometry(
    path: Path, affine: NDArray[np.float64], shape_zyx: tuple[int, ...]
) -> tuple[Geometry, list[str]]:
    """Return the geometry of a matrix from i, j, k to LPS mm, with axes at exactly 90°, and notes on what changed."""
    z, y, x = shape_zyx
    try:
        stated = Geometry.from_affine(affine, (z, y, x))
    except CtlymphError as error:
        raise error.at(path) from error
    if np.abs(stated.direction.T @ stated.direction - np.eye(3)).max() < 1e-9:
        return stated, []
    left, _, right = np.linalg.svd(stated.direction)
    straight = replace(stated, direction=left @ right)
    # The middle keeps its place, so that the corners move as little as possible.
    middle = (np.array(stated.shape_ijk) - 1) / 2
    straight = replace(straight, origin_mm=stated.origin_mm + stated.index_to_mm(middle) - straight.index_to_mm(middle))
    moved_mm = float(np.linalg.norm(straight.index_to_mm((0, 0, 0)) - stated.origin_mm))
    if moved_mm < 0.005:
        return straight, []
    return straight, [f"axes that were not quite perpendicular were straightened; corners moved by {moved_mm:.2f} mm"]


def _write(array: NDArray[Any], geometry: Geometry, path: Path, overwrite: bool) -> None:
    suffix = image_suffix(path)
    if suffix is None:
        raise CtlymphError(f"{path} has no image suffix that is known here; use one of {', '.join(FORMATS)}")
    with new_file(path, overwrite=overwrite) as staging, explained(path):
        if FORMATS[suffix] in ("NIfTI", "Analyze"):
            _write_nifti(array, geometry, staging, suffix)
        else:
            _write_itk(array, geometry, staging)


def _write_nifti(array: NDArray[Any], geometry: Geometry, path: Path, suffix: str) -> None:
    import nibabel as nib
    from isal import igzip

    kind: Any = nib.Nifti1Pair if FORMATS[suffix] == "Analyze" else nib.Nifti1Image
    affine = _RAS_TO_LPS @ geometry.affine
    image = kind(array.T, affine)
    # Both matrices, and code 1 (scanner), since programs differ in the one that they use.
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    if suffix != ".nii.gz":
        nib.save(image, path)
        return
    # No modification time, so that the same voxels give the same bytes.
    # 12 times as fast as the gzip module for a mask of 660 slices, and no larger.
    with igzip.IGzipFile(path, "wb", compresslevel=1, mtime=0) as file:
        image.to_stream(file)


def _write_itk(array: NDArray[Any], geometry: Geometry, path: Path) -> None:
    import SimpleITK as sitk

    str(path).encode()  # SimpleITK aborts the process at a name that is not UTF-8
    try:
        with _captured_stderr():
            sitk.WriteImage(to_sitk(array, geometry), str(path), useCompression=True)
    except RuntimeError as error:
        raise OSError(str(error).strip().splitlines()[-1]) from error
