"""Instance masks from DICOM Segmentation objects, placed on the grid of the CT they were drawn on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ctlymph.errors import CtlymphError, shown
from ctlymph.io.dicom_header import damage
from ctlymph.volume import Geometry, Masks

if TYPE_CHECKING:
    from pydicom import Dataset

SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
"""Segmentation Storage (DICOM PS3.4, B.5)."""

TOLERANCE_VOXELS = 0.1
"""How far a pixel of a segment may lie from the centre of the CT's voxel, along any axis."""


def read_segmentation(file: Path | BinaryIO, grid: Geometry) -> Masks:
    """Read a binary DICOM-SEG; the labels are its segment numbers.

    Frames may be in any order, empty ones left out, and the planes turned or
    flipped against the grid by right angles; nothing is resampled.

    Args:
        file: The object, as a path or opened for reading bytes.
        grid: Geometry of the CT.

    Raises:
        CtlymphError: If it is not a DICOM-SEG that can be read, is not of the
            BINARY type, does not fit the grid, or its segments overlap.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    name = str(getattr(file, "name", file))
    faults: tuple[type[Exception], ...] = (*damage(), InvalidDicomError)
    try:
        dataset = pydicom.dcmread(file)
        if dataset.get("SOPClassUID") != SEG_CLASS:
            raise CtlymphError(f"{name} is not a DICOM Segmentation object; give a SEG")
        if dataset.get("SegmentationType") != "BINARY":
            kind = shown(dataset.get("SegmentationType", "no type"))
            raise CtlymphError(f"{name} holds {kind} segments; only BINARY ones are read")
        frames = list(_frames(dataset))
    except faults as error:
        raise CtlymphError(f"cannot read {name}: {shown(error)}; give a DICOM-SEG") from error
    labels = np.zeros(grid.shape_zyx, dtype=np.uint16)
    for segment, frame, corner_mm, steps_mm in frames:
        k, j, i = _voxels(name, frame, (corner_mm, steps_mm), grid)
        others = labels[k, j, i]
        taken = others[(others > 0) & (others != segment)]
        if taken.size:
            raise CtlymphError(f"{name}: segments {taken[0]} and {segment} overlap; give nodes that are apart")
        labels[k, j, i] = segment
    return Masks(labels, grid)


def _frames(dataset: Dataset) -> Iterator[tuple[int, NDArray[Any], NDArray[np.float64], NDArray[np.float64]]]:
    """Give each frame's segment, pixels, place of the first pixel and steps (2, 3) along columns and rows; mm."""
    shape = (int(dataset.get("NumberOfFrames", 1)), dataset.Rows, dataset.Columns)
    pixels = dataset.pixel_array.reshape(shape)
    shared = dataset.SharedFunctionalGroupsSequence[0]

    def group(own: Dataset, name: str) -> Any:
        return (own if name in own else shared)[name].value[0]

    for frame, own in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        segment = int(group(own, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        corner_mm = np.array(group(own, "PlanePositionSequence").ImagePositionPatient, dtype=np.float64)
        axes = np.array(group(own, "PlaneOrientationSequence").ImageOrientationPatient, dtype=np.float64)
        between_rows, between_columns = map(float, group(own, "PixelMeasuresSequence").PixelSpacing)
        yield segment, frame, corner_mm, axes.reshape(2, 3) * [[between_columns], [between_rows]]


def _voxels(
    name: str, frame: NDArray[Any], place_mm: tuple[NDArray[np.float64], NDArray[np.float64]], grid: Geometry
) -> tuple[NDArray[np.int_], ...]:
    """Give the indices k, j, i of the frame's pixels that are set."""
    corner_mm, steps_mm = place_mm
    rows, columns = (index[:, None] for index in np.nonzero(frame))
    places = grid.mm_to_index(corner_mm + columns * steps_mm[0] + rows * steps_mm[1])
    nearest = np.rint(places).astype(int)
    # On a coarser grid, pixels could fall on every other voxel.
    steps = grid.mm_to_index(corner_mm + steps_mm) - grid.mm_to_index(corner_mm)
    is_coarser = np.abs(np.linalg.norm(steps, axis=1) * max(frame.shape) - max(frame.shape)).max() > TOLERANCE_VOXELS
    if is_coarser or np.abs(places - nearest).max(initial=0) > TOLERANCE_VOXELS:
        raise CtlymphError(f"{name} was drawn on another grid than that of the CT; give the CT that it refers to")
    if (nearest < 0).any() or (nearest >= grid.shape_ijk).any():
        raise CtlymphError(f"{name} reaches beyond the CT; give the CT that it refers to, whole")
    i, j, k = nearest.T
    return k, j, i
