"""Results as DICOM objects: segmentation and structured reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import LymphNode
from ctlymph.core.result import Result
from ctlymph.io.dicom.ct_writer import derived_header, image_uid, write_ct_series
from ctlymph.io.dicom.header import CT_CLASS
from ctlymph.io.dicom.references import ObjectHeader, referenced_ct
from ctlymph.io.dicom.seg_writer import Segment, write_segmentation
from ctlymph.io.dicom.sr_writer import Measured, axis_in_image, write_ohif_report, write_segment_report
from ctlymph.io.dicom.uids import new_uid

CT_FOLDER = "ct"
"""Folder for the CT itself, which is written as DICOM if it was read from another format."""

_NUMBERS = {"seg": 300, "sr": 301, "sr_ohif": 302}
_TITLES = {"seg": "Lymph node segments", "sr": "Lymph node sizes", "sr_ohif": "Lymph node sizes, for OHIF"}
_LONGEST_NAME = 64


def obstacle(result: Result, name: str) -> str:
    """Return why an object (``seg``, ``sr``, ``sr_ohif``) of a result cannot be written; empty if it can."""
    if not result.nodes:
        return "there are no nodes"
    try:
        source = referenced_ct(result.volume)
        if name == "sr_ohif":
            if not source.slices:
                return "the CT was resampled when it was read, so that none of its images shows the axes"
            for node in result.nodes:
                axis_in_image(result.volume.geometry, source.slices, node.sizes.long_axis)
    except CtlymphError as error:
        return str(error)
    return ""


def with_dicom_ct(folder: Path, result: Result) -> Result:
    """Write the CT of a result into a folder as DICOM; return the result as if the CT had been read from there."""
    volume = result.volume.reorient("LPS")
    uids = {name: new_uid(result.seed, name) for name in ("study", "series", "frame")}
    header = replace(
        derived_header(volume, "Written by ctlymph from a file that was no DICOM"),
        patient_id=result.case[:_LONGEST_NAME].replace("\\", "/"),
        study_uid=uids["study"],
        series_uid=uids["series"],
        frame_uid=uids["frame"],
        study_date=result.created.strftime("%Y%m%d"),
        study_time=result.created.strftime("%H%M%S"),
    )
    write_ct_series(volume, folder / CT_FOLDER, header)
    images = tuple(image_uid(uids["series"], k + 1) for k in range(len(volume.hu)))
    about = {
        **{"PatientID": header.patient_id, "StudyDate": header.study_date, "StudyTime": header.study_time},
        **{"StudyInstanceUID": uids["study"], "SeriesInstanceUID": uids["series"], "StudyID": header.study_id},
        **{"FrameOfReferenceUID": uids["frame"], "SOPClassUID": CT_CLASS},
        **{"source_uids": images, "sop_instance_uids": images, "frame_numbers": (1,) * len(images)},
    }
    return replace(
        result,
        volume=replace(volume, attributes=volume.attributes | about),
        masks=result.masks.reorient("LPS"),
        overlapping=tuple(layer.reorient("LPS") for layer in result.overlapping),
    )


def write_object(path: Path, result: Result, name: str) -> None:
    """Write one of the objects: ``seg``, ``sr`` or ``sr_ohif``.

    Raises:
        CtlymphError: If there is an :func:`obstacle`, or the file cannot be written.
    """
    source = referenced_ct(result.volume)
    segments = [_segment(node, result.model) for node in result.nodes]
    if name == "seg":
        write_segmentation(path, result.layers, segments, source, _header(result, "seg"))
        return
    grid = result.volume.geometry
    measured = Measured(result.nodes, segments, grid, source, result.model, _header(result, "seg"))
    write = {"sr": write_segment_report, "sr_ohif": write_ohif_report}[name]
    write(path, measured, _header(result, name))


def _header(result: Result, name: str) -> ObjectHeader:
    return ObjectHeader(_TITLES[name], result.created, _NUMBERS[name], seed=f"{result.seed} {name}")


def _segment(node: LymphNode, model: str) -> Segment:
    """Return the description of a node as a segment, with its sizes and score in words."""
    sizes = node.sizes
    said = [
        f"Short axis {sizes.short_axis.length_mm:.1f} mm, long axis {sizes.long_axis.length_mm:.1f} mm",
        f"volume {sizes.volume_mm3:.0f} mm3",
        f"mean {sizes.mean_hu:.0f} HU",
        *([f"score {node.score:.3f}"] if node.score is not None else []),
        *([f"station {node.station}"] if node.station else []),
        *([f"Node-RADS {node.node_rads}"] if node.node_rads else []),
        "for research use, not for diagnosis",
    ]
    return Segment(
        node.node,
        f"Lymph node {node.node}",
        node.region,
        node.station,
        "; ".join(said),
        "AUTOMATIC" if model else "MANUAL",
        f"ctlymph {model}" if model else "",
    )
