"""A strict, fast reader for the headers of plain DICOM files.

pydicom is the reference. Reading 660 headers with it takes longer than reading
the pixels, so this module reads the plain case: an uncompressed little-endian
file that follows the standard. Everything that is not exactly as expected is
left to pydicom, namely

- no preamble or file meta group, another transfer syntax than implicit or
  explicit VR little endian;
- an element out of order, with an unknown value representation, of odd length,
  or of undefined length without being a sequence of items;
- a required value with another value representation than the dictionary's, not
  plain ASCII, or no number where one is expected;
- a header of more than 256 KiB, or a file that ends within it.

:mod:`ctlymph.io.dicom.header` adds conditions on the image. The tests compare
both readers on every file that pydicom ships and on randomly damaged ones.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from ctlymph.io.dicom.files import PREAMBLE

UNDEFINED_LENGTH = 0xFFFFFFFF

_PIXEL_DATA = 0x7FE00010
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, _PIXEL_DATA))
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_TEXT_VRS = (b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"PN", b"SH", b"ST", b"TM", b"UI")
_SHORT_VRS = frozenset((*_TEXT_VRS, b"AT", b"FL", b"FD", b"SL", b"SS", b"UL", b"US"))
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_IMPLICIT = struct.Struct("<HHL")
_EXPLICIT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<L")

_ELEMENTS = {
    "SpecificCharacterSet": (0x00080005, b"CS"),
    "ImageType": (0x00080008, b"CS"),
    "SOPClassUID": (0x00080016, b"UI"),
    "AcquisitionUID": (0x00080017, b"UI"),
    "SOPInstanceUID": (0x00080018, b"UI"),
    "StudyDate": (0x00080020, b"DA"),
    "StudyTime": (0x00080030, b"TM"),
    "AccessionNumber": (0x00080050, b"SH"),
    "Modality": (0x00080060, b"CS"),
    "StudyDescription": (0x00081030, b"LO"),
    "SeriesDescription": (0x0008103E, b"LO"),
    "PatientName": (0x00100010, b"PN"),
    "PatientID": (0x00100020, b"LO"),
    "PatientBirthDate": (0x00100030, b"DA"),
    "PatientSex": (0x00100040, b"CS"),
    "PatientAge": (0x00101010, b"AS"),
    "BodyPartExamined": (0x00180015, b"CS"),
    "SliceThickness": (0x00180050, b"DS"),
    "SpacingBetweenSlices": (0x00180088, b"DS"),
    "ConvolutionKernel": (0x00181210, b"SH"),
    "PatientPosition": (0x00185100, b"CS"),
    "StudyInstanceUID": (0x0020000D, b"UI"),
    "SeriesInstanceUID": (0x0020000E, b"UI"),
    "StudyID": (0x00200010, b"SH"),
    "AcquisitionNumber": (0x00200012, b"IS"),
    "ImagePositionPatient": (0x00200032, b"DS"),
    "ImageOrientationPatient": (0x00200037, b"DS"),
    "FrameOfReferenceUID": (0x00200052, b"UI"),
    "TemporalPositionIdentifier": (0x00200100, b"IS"),
    "SamplesPerPixel": (0x00280002, b"US"),
    "PhotometricInterpretation": (0x00280004, b"CS"),
    "NumberOfFrames": (0x00280008, b"IS"),
    "Rows": (0x00280010, b"US"),
    "Columns": (0x00280011, b"US"),
    "PixelSpacing": (0x00280030, b"DS"),
    "BitsAllocated": (0x00280100, b"US"),
    "BitsStored": (0x00280101, b"US"),
    "HighBit": (0x00280102, b"US"),
    "PixelRepresentation": (0x00280103, b"US"),
    "PixelPaddingValue": (0x00280120, b"US"),
    "PixelPaddingRangeLimit": (0x00280121, b"US"),
    "RescaleIntercept": (0x00281052, b"DS"),
    "RescaleSlope": (0x00281053, b"DS"),
    "ModalityLUTSequence": (0x00283000, b"SQ"),
}
_VR_OF_TAG = dict(_ELEMENTS.values())
_SIGNED_OR_NOT = frozenset((0x00280120, 0x00280121))


class UnusualError(ValueError):
    """The file has something that the strict reader leaves to pydicom."""


class NeedMoreError(Exception):
    """The strict reader needs more bytes of the file than it got."""


@dataclass(frozen=True, slots=True)
class StrictElements:
    """Values of a data set: raw bytes by tag, decoded on request; after a ``ValueError`` pydicom must read them."""

    values: dict[int, bytes] = field(repr=False)

    def text(self, keyword: str) -> str:
        """Return a text, its values separated by backslashes; empty if absent."""
        text = self.values.get(_ELEMENTS[keyword][0], b"").rstrip(b"\0 ").decode("ascii")
        if not text.isprintable():
            raise UnusualError("a control character, perhaps of another character set")
        return trimmed(text)

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return the numbers of a decimal string; empty if absent."""
        text = self.text(keyword)
        return tuple(map(float, text.split("\\"))) if text else ()

    def integer(self, keyword: str) -> int | None:
        """Return one unsigned 16-bit number or integer string; None if absent."""
        tag, vr = _ELEMENTS[keyword]
        raw = self.values.get(tag, b"")
        if not raw:
            return None
        if vr == b"US":
            if len(raw) != 2:
                raise UnusualError("more than one value")
            return int.from_bytes(raw, "little")
        text = self.text(keyword)
        return int(text) if text else None

    def has(self, keyword: str) -> bool:
        """Return whether the element exists, empty or not."""
        return _ELEMENTS[keyword][0] in self.values


def trimmed(text: str) -> str:
    """Return a text without the padding of its values."""
    if "\\" not in text:
        return text.strip(" \0")
    return "\\".join(part.strip(" \0") for part in text.split("\\"))


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where a file's pixel data start, and their stated length, in bytes."""

    offset: int
    length: int


def read_elements(head: bytes, size: int) -> tuple[StrictElements, PixelPlace | None]:
    """Read the required values of a file of ``size`` bytes from its first bytes, and the place of its pixels, if any.

    Raises:
        UnusualError: If something is not plain, so that pydicom must read the file.
        NeedMoreError: If ``head`` ends before the pixels and the file does not.
    """
    explicit, at = _meta(head)
    elements: dict[int, bytes] = {}
    last = 0x0007FFFF
    while at < size:
        tag, vr, length, value = _element(head, at, explicit)
        if tag <= last:
            raise UnusualError("elements out of order")
        last = tag
        if tag in _PIXELS:
            if tag != _PIXEL_DATA or vr not in (b"OW", b"OB", b"") or length == UNDEFINED_LENGTH:
                raise UnusualError("pixels of another kind")
            return StrictElements(elements), PixelPlace(value, length)
        at = _skip(head, value, length, vr, explicit)
        if tag in _VR_OF_TAG:
            if vr and vr != _VR_OF_TAG[tag] and not (vr == b"SS" and tag in _SIGNED_OR_NOT):
                raise UnusualError(f"value representation {vr!r}")
            elements[tag] = head[value:at]
    return StrictElements(elements), None


def _meta(head: bytes) -> tuple[bool, int]:
    """Read the file meta group; return whether the data set has explicit VRs, and where it starts."""
    if head[PREAMBLE : PREAMBLE + 4] != b"DICM":
        raise UnusualError("no preamble")
    at, syntax = PREAMBLE + 4, b""
    while head[at : at + 2] == b"\2\0":
        tag, _, length, value = _element(head, at, explicit=True)
        if length == UNDEFINED_LENGTH or value + length > len(head):
            raise UnusualError("file meta group")
        if tag == 0x00020010:
            syntax = head[value : value + length]
        at = value + length
    explicit = {b"1.2.840.10008.1.2": False, b"1.2.840.10008.1.2.1": True}.get(syntax.removesuffix(b"\0"))
    if explicit is None or (not explicit and head[at + 4 : at + 6].isalpha()):
        raise UnusualError("transfer syntax")
    return explicit, at


def _element(head: bytes, at: int, explicit: bool) -> tuple[int, bytes, int, int]:
    """Return tag, VR (empty if implicit), length and the place of the value of the element at ``at``."""
    try:
        if not explicit:
            group, element, length = _IMPLICIT.unpack_from(head, at)
            return group << 16 | element, b"", length, at + 8
        group, element, vr, length = _EXPLICIT.unpack_from(head, at)
        if vr in _SHORT_VRS:
            return group << 16 | element, vr, length, at + 8
        if group == 0xFFFE:
            return group << 16 | element, b"", _LENGTH.unpack_from(head, at + 4)[0], at + 8
        if vr not in _LONG_VRS or length:
            raise UnusualError(f"value representation {vr!r}")
        return group << 16 | element, vr, _LENGTH.unpack_from(head, at + 8)[0], at + 12
    except struct.error as error:
        raise NeedMoreError from error


def _skip(head: bytes, value: int, length: int, vr: bytes, explicit: bool) -> int:
    """Return the end of a value that starts at ``value``."""
    if length == UNDEFINED_LENGTH:
        if vr not in (b"SQ", b""):
            raise UnusualError("undefined length")
        return _skip_items(head, value, explicit)
    if length % 2:
        raise UnusualError("odd length")
    if value + length > len(head):
        raise NeedMoreError
    return value + length


def _skip_items(head: bytes, at: int, explicit: bool) -> int:
    """Return the end of a sequence of undefined length whose first item starts at ``at`` (PS3.5 section 7.5)."""
    while True:
        tag, _, length, at = _element(head, at, explicit=False)
        if tag == _SEQUENCE_END and length == 0:
            return at
        if tag != _ITEM:
            raise UnusualError("sequence without items")
        if length != UNDEFINED_LENGTH:
            at = _skip(head, at, length, b"", explicit)
            continue
        while True:
            tag, vr, length, value = _element(head, at, explicit)
            if tag == _ITEM_END and length == 0:
                at = value
                break
            if tag >> 16 == 0xFFFE:
                raise UnusualError("delimiter out of place")
            at = _skip(head, value, length, vr, explicit)
