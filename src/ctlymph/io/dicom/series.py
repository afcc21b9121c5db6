"""CT volumes from DICOM series, with the irregularities of real archives.

Nothing is guessed silently: corrections and omissions are described in
``Volume.notes``, and ambiguous series are rejected. ``docs/reading.md`` lists
every case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ctlymph.core.errors import CtlymphError, Remedy, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Volume
from ctlymph.io.dicom.files import ByteSource, is_named_as_dicom, open_files
from ctlymph.io.dicom.header import FrameHeader, Header, read_header, read_identity
from ctlymph.io.dicom.pixels import DicomPlane, read_planes
from ctlymph.io.dicom.stack import SAME_PLACE_MM, Grid, Stack, reject_gaps, stack_planes, to_grid

CLEARLY_LARGER = 3
"""One of several series (or groups of slices) is read if it has at least this many times the slices of any other."""

_ACQUISITION_KEYS = ("acquisition number", "acquisition UID", "temporal position", "convolution kernel")


@dataclass(frozen=True)
class ReadOptions:
    """How to read DICOM.

    Attributes:
        series: SeriesInstanceUID, or its unambiguous beginning; None: the only CT series, or the clearly largest.
        allow_gaps: Interpolate missing slices instead of rejecting the series.
        progress: Reports the headers and slices that were read.
    """

    series: str | None = None
    allow_gaps: bool = False
    progress: Progress = SILENT


@dataclass(frozen=True)
class SeriesInfo:
    """Facts about a DICOM series; texts are empty if the files do not contain them."""

    uid: str
    modality: str
    description: str
    slices: int
    patient_id: str = field(repr=False)
    study_uid: str

    def __str__(self) -> str:
        about = ", ".join(text for text in (self.modality, self.description, self.patient_id) if text)
        return f"{shown(self.uid) or '(no UID)'} ({shown(about)}, {self.slices} slices)"


def read_dicom(path: Path, options: ReadOptions | None = None) -> Volume:
    """Read one CT series as a volume in HU.

    ``docs/reading.md`` describes which series is read, and what is corrected,
    left out and rejected.

    Args:
        path: A DICOM file (read alone), a folder with all folders below it, a
            zip archive, or a DICOMDIR.
        options: Which series, and what to allow.

    Returns:
        The volume: k grows along i × j, voxels below −1024 HU are −1024.
        ``case`` is the PatientID, or the name of the file or folder. ``notes``
        has a sentence for everything that was corrected or left out.
        ``attributes`` contains, as texts, ``PatientID``, ``StudyInstanceUID``,
        ``SeriesInstanceUID``, ``FrameOfReferenceUID``, ``SeriesDescription``,
        ``Modality``, ``SOPClassUID``, ``PatientPosition``, ``path`` and those of
        :data:`~ctlymph.io.dicom.header.IDENTITY` that the files have; ``source_uids``, the
        SOPInstanceUIDs of all objects of the series; as tuples in the order
        of the slices, or None if the slices were resampled,
        ``sop_instance_uids``, ``files`` (paths) and ``frame_numbers`` (from 1);
        ``interpolated_slices``, the k of slices that were missing; and
        ``segmentations`` and ``reports``, the paths of the DICOM-SEG and
        structured report objects of the same study below the same path.

    Raises:
        CtlymphError: If there is no CT series that can be read, or more than one.
    """
    options = options or ReadOptions()
    with open_files(path) as sources:
        found, notes = _read_headers(path, sources, options.progress)
        headers = _chosen_series(path, found, options.series, notes)
        planes = _fitting_planes(headers, notes)
        planes = _one_acquisition(planes, notes)
        stack = _without_repeats(stack_planes(planes), notes)
        reject_gaps(stack, options.allow_gaps)
        hu, padded = read_planes(stack.planes, options.progress)
        identity = read_identity(stack.planes[0].header.source)
    grid = to_grid(stack, hu)
    notes += grid.notes
    if padded:
        notes.append("Padding, and other values below −1024 HU, were set to −1024 HU (air).")
    case = headers[0].patient_id or (path.absolute().name if path.is_dir() else path.stem)
    attributes = identity | _attributes(path, stack, grid) | _annotations(found, headers[0].study_uid)
    return Volume(grid.hu, grid.geometry, case, tuple(notes), attributes)


def list_series(path: Path) -> list[SeriesInfo]:
    """List the DICOM series below ``path``, those with most slices first.

    Raises:
        CtlymphError: If there is no DICOM, or a file cannot be read.
    """
    with open_files(path) as sources:
        return [info for info, _ in _series(_read_headers(path, sources, SILENT)[0])]


def _read_headers(path: Path, sources: Sequence[ByteSource], progress: Progress) -> tuple[list[Header], list[str]]:
    """Return all headers, and notes on files that have a suffix of DICOM but are not."""
    headers, notes = [], []
    with progress.task("Reading headers", len(sources)) as advance:
        for source in sources:
            header = read_header(source)
            if header is not None and header.defect and not header.series_uid:
                # It may belong to any of the series, and its absence at an end would go unnoticed.
                raise CtlymphError(f"{source.path} is truncated: {header.defect}; fetch it again, or delete it")
            if header is not None:
                headers.append(header)
            elif is_named_as_dicom(source):
                notes.append(f"{source.path.name} is not DICOM, though its name says so, and was passed over.")
            advance(1)
    if not headers:
        what = f"holds no DICOM file among its {len(sources)} files" if sources else "is empty"
        if path.is_file():
            what = "is not a DICOM file" if len(sources) == 1 else what
            if path.suffix.lower() in (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"):
                raise CtlymphError(f"{path} is an archive of a kind not read here; unpack it and give the folder")
        raise CtlymphError(f"{path} {what}; give a CT series as DICOM, or an image file such as NIfTI")
    return headers, notes


def _series(headers: Iterable[Header]) -> list[tuple[SeriesInfo, list[Header]]]:
    grouped: dict[str, list[Header]] = {}
    for header in headers:
        grouped.setdefault(header.series_uid, []).append(header)
    series = []
    for uid, members in grouped.items():
        first = members[0]
        slices = sum(len(header.frames) or 1 for header in members)
        modality = "/".join(sorted({header.modality or "CT" * header.is_ct for header in members}))
        info = SeriesInfo(uid, modality, first.description, slices, first.patient_id, first.study_uid)
        series.append((info, members))
    return sorted(series, key=lambda item: (-item[0].slices, item[0].uid))


def _chosen_series(path: Path, found: list[Header], uid: str | None, notes: list[str]) -> list[Header]:
    """Return the CT objects of the series to read."""
    series = _series(found)
    if uid is not None:
        matching = [item for item in series if item[0].uid == uid] or [
            item for item in series if item[0].uid.startswith(uid)
        ]
        if len(matching) != 1:
            number = "no" if not matching else "more than one"
            raise CtlymphError(f"{path} holds {number} series {uid}; it holds {_listed(series)}")
        series = matching
    usable = [(info, members) for info, members in series if any(map(_is_usable, members))]
    if not usable:
        _reject_without_ct(path, series)
    info, members = usable[0]
    others = [other for other, _ in usable[1:]]
    if others:
        one_study = {other.study_uid for other in others} == {info.study_uid}
        if not one_study or any(info.slices < CLEARLY_LARGER * other.slices for other in others):
            raise CtlymphError(f"{path} holds {len(usable)} CT series: {_listed(usable, 'and ')}", Remedy.SERIES)
        notes.append(f"Of {len(usable)} CT series, the by far largest was read ({info.slices} slices).")
    return [header for header in members if header.is_ct]


def _listed(series: Sequence[tuple[SeriesInfo, Any]], last: str = "") -> str:
    names = [str(info) for info, _ in series[:6]]
    if len(series) > 6:
        return ", ".join(names) + f" and {len(series) - 6} more"
    return ", ".join((*names[:-1], last + names[-1]))


def _is_usable(header: Header) -> bool:
    frames = header.frames
    return header.is_ct and (header.defect is not None or any(_is_placed(f) and not _is_localizer(f) for f in frames))


def _reject_without_ct(path: Path, series: Sequence[tuple[SeriesInfo, list[Header]]]) -> NoReturn:
    images = [header for _, members in series for header in members if header.is_ct]
    if any(_is_localizer(frame) for header in images for frame in header.frames):
        raise CtlymphError(f"{path} holds only localizer images; give the CT series itself")
    if images:
        name = images[0].source.path
        raise CtlymphError(
            f"{name} has no position in the patient (a secondary capture or report?); give the original CT series"
        )
    kinds = shown(", ".join(sorted({info.modality or "unknown modality" for info, _ in series})))
    raise CtlymphError(f"{path} holds {kinds} and no CT; ctlymph needs a CT series")


def _is_placed(frame: FrameHeader) -> bool:
    return bool(frame.position_mm and frame.orientation and frame.spacing_yx_mm)


def _is_localizer(frame: FrameHeader) -> bool:
    return "LOCALIZER" in frame.image_type or "SCOUT" in frame.image_type


def _fitting_planes(headers: Sequence[Header], notes: list[str]) -> list[DicomPlane]:
    """Return the planes of a series that form one stack, without localizers, copies and unrelated images."""
    for header in headers:
        if header.defect:
            raise CtlymphError(f"{header.source.path} is truncated: {header.defect}; fetch it again")
    planes = [DicomPlane(header, frame) for header in _without_copies(headers, notes) for frame in header.frames]
    planes = _kept(planes, lambda frame: not _is_localizer(frame), "localizer images", notes)
    planes = _kept(planes, _is_placed, "images without a position", notes)
    _reject_mixtures(planes, notes)
    return _alike(planes, notes)


def _without_copies(headers: Sequence[Header], notes: list[str]) -> list[Header]:
    """Return the objects without those that have the UID and the positions of an earlier one."""
    kept: dict[Any, Header] = {}
    for number, header in enumerate(headers):
        kept.setdefault((header.sop_uid, header.frames) if header.sop_uid else number, header)
    if len(kept) < len(headers):
        notes.append(f"{len(headers) - len(kept)} copies of slices (same UID) were left out.")
    return list(kept.values())


def _kept(
    planes: list[DicomPlane], accept: Callable[[FrameHeader], bool], kind: str, notes: list[str]
) -> list[DicomPlane]:
    kept = [plane for plane in planes if accept(plane.frame)]
    if len(kept) < len(planes):
        notes.append(f"{len(planes) - len(kept)} {kind} in the series were left out.")
    return kept


def _reject_mixtures(planes: Sequence[DicomPlane], notes: list[str]) -> None:
    for plane in planes:
        header, pixels = plane.header, plane.header.pixels
        if pixels is None or not pixels.is_grey:
            raise CtlymphError(f"{plane.name} is in colour; CT is one grey value a pixel: give the original series")
        rescale = [value for value in (plane.frame.slope, plane.frame.intercept) if value is not None]
        if header.has_lookup_table or plane.frame.slope == 0 or not all(map(isfinite, rescale)):
            raise CtlymphError(f"{plane.name} has no rescale to HU (a lookup table, a slope of 0, or no number)")
        if header.patient_id != planes[0].header.patient_id:
            raise CtlymphError(
                f"{plane.name} is of patient {shown(header.patient_id)} and {planes[0].name} of "
                f"{shown(planes[0].header.patient_id)}, in one series; keep patients in separate folders"
            )
    if any(plane.frame.slope is None for plane in planes):
        notes.append("Slices give no rescale slope; their stored values were taken for HU.")
    if len({plane.header.frame_of_reference_uid for plane in planes}) > 1:
        notes.append("The slices name more than one frame of reference; their positions were taken to be in one.")


def _alike(planes: list[DicomPlane], notes: list[str]) -> list[DicomPlane]:
    """Return the largest group of planes of one size, spacing and direction; reject the series if it is not clear."""
    groups: list[list[DicomPlane]] = []
    for plane in planes:
        group = next((group for group in groups if _are_alike(group[0], plane)), None)
        if group is None:
            groups.append([plane])
        else:
            group.append(plane)
    groups.sort(key=len, reverse=True)
    if len(groups) == 1:
        return groups[0]
    others = sum(map(len, groups[1:]))
    if len(groups[0]) < CLEARLY_LARGER * others:
        raise CtlymphError(
            f"the series mixes slices of different size, spacing or direction: {len(groups[0])} like "
            f"{groups[0][0].name} and {others} like {groups[1][0].name}; keep one kind in a folder"
        )
    notes.append(f"{others} images of another size, spacing or direction in the series were left out.")
    return groups[0]


def _are_alike(one: DicomPlane, other: DicomPlane) -> bool:
    a, b, p, q = one.frame, other.frame, one.header.pixels, other.header.pixels
    if p is None or q is None or (p.rows, p.columns) != (q.rows, q.columns):
        return False
    if (a.orientation, a.spacing_yx_mm) == (b.orientation, b.spacing_yx_mm):
        return True
    if (len(a.orientation), len(a.spacing_yx_mm)) != (len(b.orientation), len(b.spacing_yx_mm)):
        return False
    return np.allclose(a.orientation, b.orientation, atol=1e-3) and np.allclose(a.spacing_yx_mm, b.spacing_yx_mm, 1e-3)


def _one_acquisition(planes: list[DicomPlane], notes: list[str]) -> list[DicomPlane]:
    """Return the largest of several acquisitions, or reconstructions, of the same range in one series.

    Acquisitions one after the other, as in step-and-shoot scans, or regularly
    interleaved, are one stack and stay together.
    """
    stack = stack_planes(planes)
    if stack.is_even and (stack.steps_mm >= SAME_PLACE_MM).all():
        return planes
    heights = {id(plane): float(height) for plane, height in zip(stack.planes, stack.heights_mm, strict=True)}
    for number, name in enumerate(_ACQUISITION_KEYS):
        parts: dict[str, list[DicomPlane]] = {}
        for plane in planes:
            parts.setdefault(plane.frame.acquisition[number], []).append(plane)
        if _overlap([[heights[id(plane)] for plane in part] for part in parts.values()]):
            chosen = max(parts, key=lambda key: (len(parts[key]), _earlier(key)))
            notes.append(
                f"The series holds {len(parts)} acquisitions over the same range; the one with {name} "
                f"{shown(chosen) or '(none)'} was read ({len(parts[chosen])} of {len(planes)} slices)."
            )
            return _one_acquisition(parts[chosen], notes)
    return planes


def _earlier(key: str) -> tuple[int, ...]:
    """Return a sort key by which the lowest number, or else the first name, is the greatest."""
    return (1, -int(key)) if key.lstrip("-").isdecimal() else (0, *(-ord(letter) for letter in key))


def _overlap(groups_mm: Sequence[Sequence[float]]) -> bool:
    limits = sorted((min(heights), max(heights)) for heights in groups_mm)
    return any(later[0] <= earlier[1] + SAME_PLACE_MM for earlier, later in pairwise(limits))


def _without_repeats(stack: Stack, notes: list[str]) -> Stack:
    """Return the stack without planes that have the position and the pixels of another.

    Raises:
        CtlymphError: If planes at the same position differ.
    """
    repeats = [number + 1 for number in np.flatnonzero(stack.steps_mm < SAME_PLACE_MM).tolist()]
    if not repeats:
        return stack
    for number in repeats:
        first, second = stack.planes[number - 1], stack.planes[number]
        pixels, _ = read_planes((first, second))
        aside = np.abs(stack.places_mm[number, :2] - stack.places_mm[number - 1, :2]).max()
        if aside >= SAME_PLACE_MM or (pixels[0] != pixels[1]).any():
            raise CtlymphError(
                f"{first.name} and {second.name} are at the same position ({stack.where(number)}) and differ; "
                "remove those that do not belong to the series"
            )
    notes.append(f"{len(repeats)} slices at the place of another and with the same pixels were left out.")
    return stack_planes([plane for number, plane in enumerate(stack.planes) if number not in repeats])


def _attributes(path: Path, stack: Stack, grid: Grid) -> dict[str, Any]:
    header = stack.planes[0].header
    as_read = None if grid.resampled else stack.planes
    return {
        "path": str(path),
        "PatientID": header.patient_id,
        "StudyInstanceUID": header.study_uid,
        "SeriesInstanceUID": header.series_uid,
        "FrameOfReferenceUID": header.frame_of_reference_uid,
        "SeriesDescription": header.description,
        "Modality": header.modality or "CT",
        "SOPClassUID": header.sop_class,
        "PatientPosition": header.patient_position,
        "source_uids": tuple(dict.fromkeys(plane.header.sop_uid for plane in stack.planes)),
        "sop_instance_uids": as_read and tuple(plane.header.sop_uid for plane in as_read),
        "files": as_read and tuple(str(plane.header.source.path) for plane in as_read),
        "frame_numbers": as_read and tuple(plane.frame.index + 1 for plane in as_read),
        "interpolated_slices": grid.interpolated,
    }


def _annotations(found: Sequence[Header], study_uid: str) -> dict[str, Any]:
    offered: dict[str, list[str]] = {"SEG": [], "SR": []}
    for header in found:
        if header.modality in offered and header.study_uid == study_uid:
            offered[header.modality].append(str(header.source.path))
    return {"segmentations": tuple(offered["SEG"]), "reports": tuple(offered["SR"])}
