"""Instance masks from DICOM Segmentation objects, on the grid of the CT that they annotate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset

from ctlymph.core.errors import CtlymphError, Remedy, shown
from ctlymph.core.volume import Geometry, Masks
from ctlymph.io.dicom.header import faults

SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
"""Segmentation Storage (DICOM PS3.4, B.5)."""

TOLERANCE_VOXELS = 0.1
"""Maximal distance of a segment's pixel from the centre of the CT's voxel, along any axis."""


def read_segmentation(file: Path | BinaryIO, grid: Geometry) -> Masks:
    """Read a binary DICOM-SEG whose segments do not overlap; the labels are its segment numbers.

    Args:
        file: The object, as a path or opened for reading bytes.
        grid: Geometry of the CT.

    Raises:
        CtlymphError: As :func:`read_segments`, or if segments overlap.
    """
    layers = read_segments(file, grid)
    if len(layers) > 1:
        both = (layers[0].labels > 0) & (layers[1].labels > 0)
        first, second = (layer.labels[both][0] for layer in layers[:2])
        name = str(getattr(file, "name", file))
        raise CtlymphError(f"{name}: segments {first} and {second} overlap; give nodes that are apart")
    return layers[0]


def read_segments(file: Path | BinaryIO, grid: Geometry, about: Mapping[str, Any] | None = None) -> tuple[Masks, ...]:
    """Read a binary DICOM-SEG whose segments may overlap.

    Frames may be in any order, empty ones may be absent, and the planes may be
    rotated by right angles or flipped relative to the grid. Nothing is resampled.

    Args:
        file: The object, as a path or opened for reading bytes.
        grid: Geometry of the CT.
        about: Attributes of the CT, as in ``Volume.attributes``.

    Returns:
        Masks on the grid, whose labels are segment numbers; overlapping segments are in different masks.

    Raises:
        CtlymphError: If it is not a DICOM-SEG that can be read, is not of the BINARY type, is of another patient or
            frame of reference than the CT, or does not fit the grid.
    """
    name = str(getattr(file, "name", file))
    try:
        dataset = pydicom.dcmread(file)
        if dataset.get("SOPClassUID") != SEG_CLASS:
            raise CtlymphError(f"{name} is not a DICOM Segmentation object; give a SEG")
        if dataset.get("SegmentationType") != "BINARY":
            kind = shown(dataset.get("SegmentationType", "no type"))
            raise CtlymphError(f"{name} holds {kind} segments; only BINARY ones are read")
        frames = list(_frames(dataset))
    except faults() as error:
        raise CtlymphError(f"cannot read {name}: {shown(error)}; give a DICOM-SEG") from error
    _reject_others(name, dataset, about or {})
    places = [(number, _voxels(name, frame, at_mm, grid)) for number, frame, at_mm in frames]
    return _layers(places, grid)


def _reject_others(name: str, dataset: Dataset, about: Mapping[str, Any]) -> None:
    """Reject a segmentation of another patient than the CT, or in other coordinates."""
    for keyword, what in (("PatientID", "patient"), ("FrameOfReferenceUID", "frame of reference")):
        mine, theirs = str(dataset.get(keyword) or ""), str(about.get(keyword) or "")
        if mine and theirs and mine != theirs:
            raise CtlymphError(
                f"{name} is of {what} {shown(mine)} and the CT of {shown(theirs)}; give the CT that it annotates"
            )


def is_segmentation(path: Path) -> bool:
    """Return whether a file is a DICOM-SEG."""
    try:
        return bool(pydicom.dcmread(path, specific_tags=["SOPClassUID"]).get("SOPClassUID") == SEG_CLASS)
    except faults():
        return False


def own_grid(path: Path) -> tuple[Geometry, str]:
    """Return the grid of all frames of a DICOM-SEG, and its PatientID.

    Raises:
        CtlymphError: If it cannot be read, or its frames are not on one regular grid.
    """
    try:
        dataset = pydicom.dcmread(path)
        planes = [at_mm for _, _, at_mm in _frames(dataset)]
        (corner_mm, steps_mm), rows, columns = planes[0], int(dataset.Rows), int(dataset.Columns)
        measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        between = float(measures.get("SpacingBetweenSlices") or measures.SliceThickness)
    except faults() as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; give a DICOM-SEG") from error
    normal = np.cross(*steps_mm)
    normal /= np.linalg.norm(normal)
    heights_mm = np.array([(corner - corner_mm) @ normal for corner, _ in planes])
    lowest = int(heights_mm.argmin())
    count = round(float(np.ptp(heights_mm)) / between) + 1
    spacing = (*np.linalg.norm(steps_mm, axis=1), between)
    direction = np.stack([*(steps_mm / np.linalg.norm(steps_mm, axis=1)[:, None]), normal], axis=1)
    grid = Geometry((count, rows, columns), planes[lowest][0], np.array(spacing), direction)
    return grid, str(dataset.get("PatientID") or "")


def referenced_series(path: Path) -> str:
    """Return the SeriesInstanceUID of the CT that a DICOM-SEG annotates.

    Raises:
        CtlymphError: If it refers to none, or to several.
    """
    series = pydicom.dcmread(path, specific_tags=["ReferencedSeriesSequence"]).get("ReferencedSeriesSequence") or ()
    uids = {str(each.SeriesInstanceUID) for each in series}
    if len(uids) != 1:
        raise CtlymphError(f"{path} refers to {len(uids)} series", Remedy.NODES, nodes=path)
    return uids.pop()


PlaneMm = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Position of the first pixel, and the steps (2, 3) along columns and rows; LPS mm."""

Voxels = tuple[NDArray[np.int_], ...]
"""Indices k, j, i."""


def _layers(places: Sequence[tuple[int, Voxels]], grid: Geometry) -> tuple[Masks, ...]:
    """Return masks in which each segment is in the first layer without overlap with the segments before."""
    by_segment: dict[int, list[Voxels]] = {}
    for number, voxels in places:
        by_segment.setdefault(number, []).append(voxels)
    layers = [np.zeros(grid.shape_zyx, dtype=np.uint16)]
    for number in sorted(by_segment):
        voxels = tuple(np.concatenate(axis) for axis in zip(*by_segment[number], strict=True))
        free = next((layer for layer in layers if not layer[voxels].any()), None)
        if free is None:
            free = np.zeros(grid.shape_zyx, dtype=np.uint16)
            layers.append(free)
        free[voxels] = number
    return tuple(Masks(layer, grid) for layer in layers)


def _frames(dataset: Dataset) -> Iterator[tuple[int, NDArray[Any], PlaneMm]]:
    """Yield the segment, pixels and position of each frame."""
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
        yield segment, frame, (corner_mm, axes.reshape(2, 3) * [[between_columns], [between_rows]])


def _voxels(name: str, frame: NDArray[Any], place_mm: PlaneMm, grid: Geometry) -> Voxels:
    """Return the voxels of the frame's pixels that are set."""
    corner_mm, steps_mm = place_mm
    rows, columns = (index[:, None] for index in np.nonzero(frame))
    places = grid.mm_to_index(corner_mm + columns * steps_mm[0] + rows * steps_mm[1])
    nearest = np.rint(places).astype(int)
    # Pixels of a coarser grid could be on every other voxel.
    steps = grid.mm_to_index(corner_mm + steps_mm) - grid.mm_to_index(corner_mm)
    is_coarser = np.abs(np.linalg.norm(steps, axis=1) * max(frame.shape) - max(frame.shape)).max() > TOLERANCE_VOXELS
    if is_coarser or np.abs(places - nearest).max(initial=0) > TOLERANCE_VOXELS:
        raise CtlymphError(f"{name} has another grid than the CT; give the CT that it refers to")
    if (nearest < 0).any() or (nearest >= grid.shape_ijk).any():
        raise CtlymphError(f"{name} reaches beyond the CT; give the CT that it refers to, whole")
    i, j, k = nearest.T
    return k, j, i
