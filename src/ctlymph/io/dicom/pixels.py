"""The pixels of DICOM planes in HU, read directly into one int16 array."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import AIR_HU
from ctlymph.io.dicom.header import FrameHeader, Header, PixelFormat, damage

if TYPE_CHECKING:
    from pydicom.uid import UID

_THREADS = 2
_PLANES_PER_TURN = 8
_MIN_TISSUE_HU, _MAX_TISSUE_HU = -900, 3071


@dataclass(frozen=True, slots=True)
class DicomPlane:
    """One plane to read: a frame and the file that holds it."""

    header: Header
    frame: FrameHeader

    @property
    def name(self) -> str:
        """Its name in messages: the file, and the frame if there are several."""
        several = len(self.header.frames) > 1
        return f"{self.header.source.path}" + (f" (frame {self.frame.index + 1})" if several else "")


def read_planes(planes: Sequence[DicomPlane], progress: Progress = SILENT) -> tuple[NDArray[np.int16], bool]:
    """Read planes of one size, in HU.

    Stored values are rescaled for each plane and rounded. Values below −1024 HU
    are padding, or noise in air, and become −1024; values above 32767 become
    32767. Pixel padding values become −1024, too. Padding with the HU of tissue
    does so only if it is connected to the image's edge.

    Args:
        planes: The planes, at least one.
        progress: Reports the slices done.

    Returns:
        int16 ``(planes, rows, columns)``, and whether any value below −1024 HU, or padding, was replaced.

    Raises:
        CtlymphError: If a file ends early, or its pixels cannot be decoded or are of another size.
    """
    pixels = planes[0].header.pixels
    assert pixels is not None
    try:
        hu = np.empty((len(planes), pixels.rows, pixels.columns), np.int16)
    except MemoryError as error:
        size = f"{len(planes)} slices of {pixels.columns} × {pixels.rows}"
        raise CtlymphError(f"{planes[0].name}: {size} are more than this machine's memory holds") from error
    turns = list(_turns(planes))
    padded = False

    def read(part: slice) -> bool:
        return _read_part(planes[part], hu[part])

    # The filter is set here, since this is not safe in several threads.
    with warnings.catch_warnings(), progress.task("Reading slices", len(planes)) as advance:
        warnings.simplefilter("ignore")
        with ThreadPoolExecutor(_THREADS) as threads:
            for part, part_padded in zip(turns, threads.map(read, turns), strict=True):
                padded |= part_padded
                advance(part.stop - part.start)
    return hu, padded


def _turns(planes: Sequence[DicomPlane]) -> Iterator[slice]:
    """Yield the parts of the planes that one thread reads at a time; a multi-frame file is opened once."""
    start = 0
    for _, group in groupby(planes, key=lambda plane: id(plane.header) if plane.header.offset is None else None):
        stop = start + sum(1 for _ in group)
        multi_frame = len(planes[start].header.frames) > 1
        step = stop - start if multi_frame else _PLANES_PER_TURN
        yield from (slice(n, min(n + step, stop)) for n in range(start, stop, step))
        start = stop


def _read_part(planes: Sequence[DicomPlane], hu: NDArray[np.int16]) -> bool:
    header = planes[0].header
    padded = False
    if header.offset is None:
        indices = [plane.frame.index for plane in planes]
        for plane, raw, out in zip(planes, _decoded(header, indices), hu, strict=True):
            padded |= _to_hu(raw, plane, out)
    else:
        for plane, out in zip(planes, hu, strict=True):
            padded |= _read_plain(plane, out)
    return padded


def _read_plain(plane: DicomPlane, out: NDArray[np.int16]) -> bool:
    """Read uncompressed pixels into the memory of their HU."""
    pixels = plane.header.pixels
    assert pixels is not None
    assert plane.header.offset is not None
    count = plane.header.source.read_into(plane.header.offset, out)
    if count != out.nbytes:
        raise CtlymphError(f"{plane.name} is truncated: {count} of {out.nbytes} bytes of pixels; fetch it again")
    raw = out if pixels.signed else out.view(np.uint16)
    unused = 16 - pixels.bits_stored
    if unused:  # the upper bits, with old overlays for example, are no part of the number (PS3.5 section 8.1.1)
        np.left_shift(raw, unused, out=raw)
        np.right_shift(raw, unused, out=raw)
    return _to_hu(raw, plane, out)


def _decoded(header: Header, indices: list[int]) -> Iterator[NDArray[Any]]:
    """Yield frames as stored values, decoded by pydicom."""
    import pydicom
    from pydicom.pixels.utils import iter_pixels

    assert header.pixels is not None
    shape = (header.pixels.rows, header.pixels.columns)
    try:
        with header.source.open() as file:
            dataset = pydicom.dcmread(file, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = _guessed_syntax(*dataset.original_encoding)
            for raw in iter_pixels(dataset, indices=indices, raw=True):
                if raw.shape != shape:
                    raise CtlymphError(f"{header.source.path} holds pixels of another size than its header says")
                yield raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("="))
    except damage() as error:
        raise CtlymphError(
            f"cannot decode the pixels of {header.source.path} ({shown(error)}); it may be truncated: fetch it again"
        ) from error


def _guessed_syntax(implicit: bool | None, little_endian: bool | None) -> UID:
    """Return the transfer syntax of a file without file meta, which is assumed to be uncompressed."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _to_hu(raw: NDArray[Any], plane: DicomPlane, out: NDArray[np.int16]) -> bool:
    """Convert stored values to HU in ``out``, which may share memory with ``raw``; return whether any became air."""
    pixels = plane.header.pixels
    assert pixels is not None
    slope = 1.0 if plane.frame.slope is None else plane.frame.slope
    intercept = plane.frame.intercept or 0.0
    padding = _padding(raw, pixels, slope, intercept)
    if slope == 1 and raw.itemsize == 2 and _stays_int16(raw, pixels, intercept):
        # Sums modulo 2¹⁶ are right for any signedness of the summands, if the true sum is an int16.
        if intercept or out is not raw:
            np.add(raw.view(np.int16), np.int16(intercept), out=out)
    else:
        limits = np.iinfo(np.int16)
        out[...] = np.clip(np.rint(raw.astype(np.float64) * slope + intercept), limits.min, limits.max)
    if padding is not None:
        out[padding] = AIR_HU
    if out.min() >= AIR_HU:
        return padding is not None
    np.copyto(out, np.int16(AIR_HU), where=out < AIR_HU)
    return True


def _stays_int16(raw: NDArray[Any], pixels: PixelFormat, intercept: float) -> bool:
    limits = np.iinfo(np.int16)
    if not intercept.is_integer() or abs(intercept) > limits.max:
        return False
    if pixels.signed and intercept == 0:
        return True
    return bool(limits.min <= int(raw.min()) + intercept and int(raw.max()) + intercept <= limits.max)


def _padding(raw: NDArray[Any], pixels: PixelFormat, slope: float, intercept: float) -> NDArray[np.bool_] | None:
    """Return the pixels without a measurement (PS3.3 section C.7.5.1.1.2), or None if they become air anyway."""
    if pixels.padding is None:
        return None
    values = [_signed_value(bits, pixels) for bits in (pixels.padding, pixels.padding_limit) if bits is not None]
    low, high = min(values), max(values)
    low_hu, high_hu = sorted((low * slope + intercept, high * slope + intercept))
    if high_hu <= _MIN_TISSUE_HU:
        return None
    padding = (raw >= low) & (raw <= high)
    if not padding.any():
        return None
    return padding if low_hu > _MAX_TISSUE_HU else _joined_to_edge(padding)


def _signed_value(bits: int, pixels: PixelFormat) -> int:
    negative = pixels.signed and bits >> (pixels.bits_allocated - 1)
    return bits - (1 << pixels.bits_allocated) if negative else bits


def _joined_to_edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    edge = np.unique(np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1])))
    return np.isin(labels, edge[edge > 0])
