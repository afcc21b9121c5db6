"""Headers of DICOM files: everything that the reader needs before it reads the pixels.

Plain files are read by :mod:`ctlymph.io.dicom.fast_header`, all others by pydicom.
Both pass their values to the same function, so that headers are equal.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.short_repr import short_repr
from ctlymph.io.dicom.fast_header import NeedMoreError, UnusualError, read_elements, trimmed
from ctlymph.io.dicom.files import PREAMBLE, ByteSource, is_named_as_dicom, starts_as_dicom

if TYPE_CHECKING:
    from pydicom import Dataset

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
CT_CLASSES = frozenset(
    (
        CT_CLASS,
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
    )
)
DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
IDENTITY = (
    *("PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "StudyDescription", "BodyPartExamined"),
)
"""Elements that a series derived from a CT has in common with it, in addition to those of :class:`Header`."""

_HEAD_SIZES = (16 << 10, 256 << 10)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The format of pixels in a file; names as in DICOM, padding values as bit patterns (or None)."""

    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    signed: bool
    padding: int | None
    padding_limit: int | None

    @property
    def is_grey(self) -> bool:
        """Whether a pixel is one number."""
        return self.samples == 1 and self.photometric in ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """Position and rescaling of one plane; None or empty if the file does not contain them.

    Attributes:
        index: Its index among the frames of its file.
        position_mm: Centre of its first pixel; x, y, z in LPS mm.
        orientation: Direction of a row (growing column), then of a column; LPS.
        spacing_yx_mm: Distance between rows, then between columns.
        thickness_mm: Slice thickness.
        step_mm: Spacing between slices.
        slope: Rescale slope, stored value to HU.
        intercept: Rescale intercept, HU.
        image_type: Values of Image Type, or of an enhanced frame's Frame Type.
        acquisition: Values that differ between acquisitions or reconstructions: acquisition number and UID,
            temporal position, convolution kernel.
    """

    index: int
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_yx_mm: tuple[float, ...]
    thickness_mm: float | None
    step_mm: float | None
    slope: float | None
    intercept: float | None
    image_type: tuple[str, ...]
    acquisition: tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a file; texts are empty if it does not contain them.

    Attributes:
        frames: Its planes; empty if it is no image.
        pixels: Their format; None if it is no image.
        offset: Where in the file the pixels start if they can be read without
            decoding (uncompressed 16-bit little endian, one frame); None if
            pydicom must decode them.
        defect: The fault of the file, if it cannot be used.
    """

    source: ByteSource
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    modality: str
    patient_id: str = field(repr=False)
    description: str
    patient_position: str
    frames: tuple[FrameHeader, ...]
    pixels: PixelFormat | None
    has_lookup_table: bool
    offset: int | None = None
    defect: str | None = None

    __repr__ = short_repr

    @property
    def is_ct(self) -> bool:
        """Whether it belongs to a CT series, by its modality, or without one by its class."""
        return self.modality == "CT" or (not self.modality and self.sop_class in CT_CLASSES)


class _Elements(Protocol):
    """Values of a data set by keyword; empty or None if it has none."""

    def text(self, keyword: str) -> str: ...

    def numbers(self, keyword: str) -> tuple[float, ...]: ...

    def integer(self, keyword: str) -> int | None: ...

    def has(self, keyword: str) -> bool: ...


def damage() -> tuple[type[Exception], ...]:
    """Return the exceptions that pydicom and its decoders raise on damaged or unsupported files."""
    from pydicom.errors import BytesLengthException

    plain = (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, NotImplementedError, OSError)
    return (*plain, RuntimeError, TypeError, ValueError, struct.error, zlib.error, BytesLengthException)


def faults() -> tuple[type[Exception], ...]:
    """Return the exceptions that pydicom raises on files that are damaged, or not DICOM at all."""
    from pydicom.errors import InvalidDicomError

    return (*damage(), InvalidDicomError)


def read_header(source: ByteSource) -> Header | None:
    """Read the header of a file; None if it is not DICOM.

    Raises:
        CtlymphError: If the file cannot be read, or is DICOM but so damaged that
            its series is unknown.
    """
    for count in _HEAD_SIZES:
        head, size = source.head(count)
        if not starts_as_dicom(head):
            _reject_empty_download(source, size)
            return None
        try:
            return strict_header(source, head, size)
        except NeedMoreError:
            if size <= count:
                break
        except ValueError:
            break
    return pydicom_header(source)


def _reject_empty_download(source: ByteSource, size: int) -> None:
    if size < PREAMBLE + 4 and is_named_as_dicom(source):
        raise CtlymphError(f"{source.path} is truncated ({size} bytes); fetch it again, or delete it")


def strict_header(source: ByteSource, head: bytes, size: int) -> Header:
    """Return the header in a file's first bytes, if everything in it is plain.

    In addition to the rules of :mod:`~ctlymph.io.dicom.fast_header`, CT pixels must
    be one frame of 16-bit grey values in the lower bits, of the length that
    follows from rows and columns.

    Raises:
        ValueError: If something is not plain, so that pydicom must read the file.
        NeedMoreError: If ``head`` ends before the pixels and the file does not.
    """
    elements, place = read_elements(head, size)
    elements.text("SpecificCharacterSet")  # texts are ASCII in any case, but it must be valid
    header = _header(source, elements)
    if not header.sop_class or not header.sop_uid:
        raise UnusualError("an object without a name")
    if not header.is_ct:
        return header
    pixels = header.pixels
    if place is None or pixels is None or len(header.frames) != 1:
        raise UnusualError("a CT object that is not one plane")
    need = pixels.rows * pixels.columns * 2
    if not (pixels.is_grey and pixels.bits_allocated == 16 and need <= place.length <= need + 1):
        raise UnusualError("not 16-bit grey")
    if not 0 < pixels.bits_stored <= 16 or elements.integer("HighBit") != pixels.bits_stored - 1:
        raise UnusualError("pixels in the upper bits")
    defect = f"it ends after {max(0, size - place.offset)} of {need} bytes of pixels"
    return replace(header, offset=place.offset, defect=defect if place.offset + need > size else None)


def pydicom_header(source: ByteSource) -> Header | None:
    """Return the header read by pydicom; None if the file is not DICOM after all.

    Raises:
        CtlymphError: As :func:`read_header`.
    """
    dataset, complete = _read_with_pydicom(source)
    if not any(keyword in dataset for keyword in ("SOPClassUID", "Modality", "SeriesInstanceUID")):
        media_class = dataset.file_meta.get("MediaStorageSOPClassUID", "")
        marked = source.head(PREAMBLE + 4)[0][PREAMBLE:] == b"DICM"
        if media_class != DICOMDIR_CLASS and (marked or media_class):
            raise CtlymphError(f"{source.path} is truncated or damaged: it names no series; fetch it again")
        return None
    try:
        with warnings.catch_warnings():  # pydicom checks a value at its first use
            warnings.simplefilter("ignore")
            header = _header(source, _PydicomElements(dataset))
    except damage() as error:
        raise CtlymphError(
            f"{source.path} holds a value that cannot be read ({shown(error)}); repair or remove it"
        ) from error
    if not header.sop_uid:
        header = replace(header, sop_uid=str(dataset.file_meta.get("MediaStorageSOPInstanceUID", "")))
    an_image = header.pixels is not None or header.sop_class in CT_CLASSES
    if header.is_ct and an_image and not (complete and header.frames):
        return replace(header, defect="it ends before its pixels")
    return header


def read_identity(source: ByteSource) -> dict[str, str]:
    """Read the elements of :data:`IDENTITY` that a file has: further facts on its patient and study.

    Raises:
        CtlymphError: As :func:`read_header`.
    """
    head, size = source.head(_HEAD_SIZES[-1])
    try:
        return _identity(read_elements(head, size)[0])
    except (ValueError, NeedMoreError):
        dataset, _ = _read_with_pydicom(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _identity(_PydicomElements(dataset))
    except damage() as error:
        raise CtlymphError(
            f"{source.path} holds a value that cannot be read ({shown(error)}); repair or remove it"
        ) from error


def _identity(elements: _Elements) -> dict[str, str]:
    elements.text("SpecificCharacterSet")  # must be valid, as for a header
    return {keyword: text for keyword in IDENTITY if (text := elements.text(keyword))}


def _read_with_pydicom(source: ByteSource) -> tuple[Dataset, bool]:
    """Read all elements before the pixels; return them, and whether pixels follow."""
    import pydicom

    try:
        with warnings.catch_warnings(), source.open() as file:
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            if dataset.file_meta.get("TransferSyntaxUID") == pydicom.uid.DeflatedExplicitVRLittleEndian:
                file.seek(0)  # pydicom has read the whole file to inflate it
                return dataset, "PixelData" in pydicom.dcmread(file, force=True)
            return dataset, file.read(1) != b""
    except damage() as error:
        raise CtlymphError(f"{source.path} is truncated or damaged ({shown(error)}); fetch it again") from error


@dataclass(frozen=True, slots=True)
class _PydicomElements:
    dataset: Dataset

    def text(self, keyword: str) -> str:
        value = self.dataset.get(keyword)
        if value is None:
            return ""
        parts = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
        return trimmed("\\".join(str(part) for part in parts))

    def numbers(self, keyword: str) -> tuple[float, ...]:
        value = self.dataset.get(keyword)
        if value is None or value == "":
            return ()
        return tuple(float(part) for part in value) if isinstance(value, Sequence) else (float(value),)

    def integer(self, keyword: str) -> int | None:
        value = self.dataset.get(keyword)
        return None if value is None or value == "" else int(value)

    def has(self, keyword: str) -> bool:
        return keyword in self.dataset


def _header(source: ByteSource, elements: _Elements) -> Header:
    pixels = _pixel_format(elements)
    modality, sop_class = elements.text("Modality"), elements.text("SOPClassUID")
    ct = modality == "CT" or sop_class in CT_CLASSES
    return Header(
        source=source,
        sop_class=sop_class,
        sop_uid=elements.text("SOPInstanceUID"),
        study_uid=elements.text("StudyInstanceUID"),
        series_uid=elements.text("SeriesInstanceUID"),
        frame_of_reference_uid=elements.text("FrameOfReferenceUID"),
        modality=modality,
        patient_id=elements.text("PatientID"),
        description=elements.text("SeriesDescription"),
        patient_position=elements.text("PatientPosition"),
        frames=tuple(_frames(elements)) if ct and pixels else (),
        pixels=pixels,
        has_lookup_table=elements.has("ModalityLUTSequence"),
    )


def _pixel_format(elements: _Elements) -> PixelFormat | None:
    rows, columns = elements.integer("Rows"), elements.integer("Columns")
    allocated = elements.integer("BitsAllocated")
    if not rows or not columns or not allocated:
        return None
    padding, limit = elements.integer("PixelPaddingValue"), elements.integer("PixelPaddingRangeLimit")
    # Some writers use the wrong signedness for these two values; their bits are right.
    mask = (1 << allocated) - 1
    return PixelFormat(
        rows=rows,
        columns=columns,
        samples=elements.integer("SamplesPerPixel") or 1,
        photometric=elements.text("PhotometricInterpretation"),
        bits_allocated=allocated,
        bits_stored=elements.integer("BitsStored") or allocated,
        signed=elements.integer("PixelRepresentation") == 1,
        padding=None if padding is None else padding & mask,
        padding_limit=None if limit is None else limit & mask,
    )


def _frames(elements: _Elements) -> Iterator[FrameHeader]:
    several = (elements.integer("NumberOfFrames") or 1) > 1
    if not several and elements.text("SOPClassUID") not in CT_CLASSES - {CT_CLASS}:
        yield _frame(0, elements, elements.text("ImageType"))
    elif isinstance(elements, _PydicomElements):
        yield from _enhanced_frames(elements.dataset)
    else:
        raise UnusualError("several frames")


def _frame(index: int, elements: _Elements, image_type: str) -> FrameHeader:
    def one(keyword: str) -> float | None:
        values = elements.numbers(keyword)
        return values[0] if values else None

    number = elements.integer("AcquisitionNumber")
    temporal = elements.integer("TemporalPositionIdentifier")
    return FrameHeader(
        index=index,
        position_mm=elements.numbers("ImagePositionPatient"),
        orientation=elements.numbers("ImageOrientationPatient"),
        spacing_yx_mm=elements.numbers("PixelSpacing"),
        thickness_mm=one("SliceThickness"),
        step_mm=one("SpacingBetweenSlices"),
        slope=one("RescaleSlope"),
        intercept=one("RescaleIntercept"),
        image_type=tuple(image_type.split("\\")) if image_type else (),
        acquisition=(
            "" if number is None else str(number),
            elements.text("AcquisitionUID"),
            "" if temporal is None else str(temporal),
            elements.text("ConvolutionKernel"),
        ),
    )


_FUNCTIONAL_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
}


def _enhanced_frames(dataset: Dataset) -> Iterator[FrameHeader]:
    """Yield the frames of a multi-frame image from its functional groups (PS3.3 section C.7.6.16)."""
    from pydicom import Dataset

    def item(groups: Dataset, name: str) -> Any:
        sequence = groups.get(name) or shared.get(name)
        return sequence[0] if sequence else Dataset()

    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for index, groups in enumerate(dataset.get("PerFrameFunctionalGroupsSequence") or ()):
        plain = Dataset()
        for name, keywords in _FUNCTIONAL_GROUPS.items():
            for keyword in keywords:
                setattr(plain, keyword, item(groups, name).get(keyword, dataset.get(keyword)))
        content = item(groups, "FrameContentSequence")
        plain.AcquisitionNumber = content.get("FrameAcquisitionNumber")
        plain.TemporalPositionIdentifier = content.get("TemporalPositionIndex")
        kind = _PydicomElements(item(groups, "CTImageFrameTypeSequence")).text("FrameType")
        elements = _PydicomElements(plain)
        yield _frame(index, elements, kind or _PydicomElements(dataset).text("ImageType"))
