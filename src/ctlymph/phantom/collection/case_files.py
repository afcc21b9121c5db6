"""The files of a synthetic case, named, laid out and written as those of the public collection are: its quirks too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from ctlymph.core.nodes import Point
from ctlymph.core.regions import MEDIASTINUM
from ctlymph.core.volume import Masks
from ctlymph.datasets.ct_lymph_nodes.catalogue import TITLE, catalogue
from ctlymph.io.atomic import new_file
from ctlymph.io.csv_table import write_csv
from ctlymph.io.dicom.ct_writer import CTHeader, image_uid, write_ct_series
from ctlymph.io.dicom.references import ObjectHeader, ReferencedCT, SourceImage
from ctlymph.io.dicom.seg_writer import Segment, write_segmentation
from ctlymph.io.dicom.uids import new_uid
from ctlymph.io.images import write_masks
from ctlymph.io.mitk import write_point_set
from ctlymph.io.node_tables import COLUMNS, NodeRow, texts_of
from ctlymph.phantom.collection.simulated_candidates import SimulatedCandidates
from ctlymph.phantom.nodes.synthetic_nodes import TrueNode
from ctlymph.phantom.scan.patient import Phantom

Layout = Literal["idc", "nbia"]

ANNOTATIONS, CANDIDATES, MASKS = SIDES = tuple(
    f"MED_ABD_LYMPH_{what}" for what in ("ANNOTATIONS", "CANDIDATES", "MASKS")
)
"""Folders of the three side downloads."""

DICOM = {"idc": "ct_lymph_nodes", "nbia": "manifest-synthetic"}
"""Folder of the DICOM series in each layout."""

TRUTH = "truth"
_COMPUTED = (
    "SYNTHETIC torso with known lymph nodes",
    "Computed from a geometric model; no patient was scanned",
    "SYNTHETIC: no patient was scanned. For research use, not for diagnosis.",
)
_INSERTED = (
    "SYNTHETIC lymph nodes in a CT",
    "Computed lymph nodes were put into the CT of a patient",
    "SYNTHETIC NODES: the patient does not have them. For research use, not for diagnosis.",
)
_BASELINE, _INTERVAL_DAYS = date(2014, 9, 14), 90  # the public collection knows only this day


@dataclass(frozen=True)
class CaseToWrite:
    """One case, ready to be written.

    Attributes:
        name: Such as ``MED_LYMPH_001``.
        region: Where its nodes are annotated.
        phantom: The patient as scanned.
        candidates: Their positives refer to :attr:`annotated`.
        sex: ``F`` or ``M``; empty where not known.
        age: In years; None where not known.
        seed: UIDs follow from it and the name.
        timepoint: Number of the scan, 0 for the baseline.
        inserted: Whether its nodes were put into the CT of a real patient.
    """

    name: str
    region: str
    phantom: Phantom
    candidates: SimulatedCandidates
    sex: str
    age: int | None
    seed: int
    timepoint: int = 0
    inserted: bool = False

    @property
    def annotated(self) -> list[TrueNode]:
        """The nodes that are annotated, in the order of the annotation's rows."""
        return annotated(self.phantom, self.region)

    @property
    def day(self) -> date:
        """Date of the scan."""
        return _BASELINE + timedelta(days=self.timepoint * _INTERVAL_DAYS)

    def uid(self, purpose: str) -> str:
        """Return one of its UIDs; each time point has its own frame of reference, as the patient lay down anew."""
        return new_uid("phantom", str(self.seed), self.name, str(self.timepoint), purpose)

    @property
    def header(self) -> CTHeader:
        """The header of its DICOM files."""
        what = "mediastinal" if self.region == MEDIASTINUM else "abdominal"
        if self.inserted:
            study, derivation, comment = _INSERTED
        else:
            study, derivation, comment = _COMPUTED
        return CTHeader(
            patient_id=self.name,
            patient_name=f"SYNTHETIC^{self.name}",
            sex=self.sex,
            age="" if self.age is None else f"{self.age:03d}Y",
            study_date=f"{self.day:%Y%m%d}",
            study_id="1",
            study_description=study,
            series_description=f"SYNTHETIC {what}_lymph_nodes",
            derivation=derivation,
            comment=comment,
            study_uid=self.uid("study"),
            series_uid=self.uid("ct"),
            frame_uid=self.uid("frame"),
        )


def annotated(phantom: Phantom, region: str) -> list[TrueNode]:
    """Return the nodes that are annotated in a case of a region, without those whose centre is outside the scan."""
    scan = phantom.volume.geometry
    return [node for node in phantom.nodes if node.marked and node.region == region and scan.contains(node.centre_mm)]


def write_case(case: CaseToWrite, root: Path, layout: Layout = "idc") -> None:
    """Write all files of a case below a folder.

    Raises:
        CtlymphError: If they cannot be written.
    """
    labels = _shuffled_labels(case)
    masks = _relabelled(case.phantom.masks, case.annotated, labels)
    _write_dicom(case, masks, root, layout)
    _write_annotations(case, root / ANNOTATIONS / case.name)
    write_candidates(case, root / CANDIDATES / case.name)
    path = root / MASKS / case.name / f"{case.name}_mask.nii.gz"
    path.parent.mkdir(parents=True)
    write_masks(masks, path)
    _write_truth(case, labels, root / TRUTH / f"{case.name}.csv")


def _shuffled_labels(case: CaseToWrite) -> list[int]:
    """Return the mask's label of each annotated node: in the public collection they do not tell the row."""
    count = len(case.annotated)
    labels = list(range(count, 0, -1))
    return labels[count // 2 :] + labels[: count // 2]


def _relabelled(masks: Masks, nodes: Sequence[TrueNode], labels: Sequence[int]) -> Masks:
    table = np.zeros(int(masks.labels.max(initial=0)) + 1, dtype=np.uint16)
    for node, label in zip(nodes, labels, strict=True):
        table[node.node] = label
    return replace(masks, labels=table[masks.labels])


def _write_dicom(case: CaseToWrite, masks: Masks, root: Path, layout: Layout) -> None:
    header = case.header
    ct, seg = _series_folders(case, root, layout)
    write_ct_series(replace(case.phantom.volume, case=case.name), ct, header, implicit_vr=True)
    if layout == "idc":  # there, names do not tell the order
        for file in sorted(ct.iterdir()):
            file.rename(ct / f"{_uuid(case.uid(file.name))}.dcm")
    count = len(case.annotated)
    if not count:
        return
    images = [SourceImage(image_uid(header.series_uid, k + 1)) for k in range(len(masks.labels))]
    about = ObjectHeader(
        "SYNTHETIC Lymph node segmentations",
        datetime(case.day.year, case.day.month, case.day.day),
        series_uid=case.uid("seg"),
        seed=case.uid("seg"),
    )
    seg.mkdir(parents=True)
    segments = [Segment(label, f"Lymph node {label}", case.region) for label in range(1, count + 1)]
    name = f"{_uuid(case.uid('seg instance'))}.dcm" if layout == "idc" else "1-1.dcm"
    write_segmentation(seg / name, [masks], segments, ReferencedCT(header, images, images), about)


def _series_folders(case: CaseToWrite, root: Path, layout: Layout) -> tuple[Path, Path]:
    """Return the folders of CT and SEG, as idc-index or NBIA Data Retriever name them."""
    study, ct, seg = case.uid("study"), case.uid("ct"), case.uid("seg")
    if layout == "idc":
        folder = root / DICOM[layout] / case.name / study
        return folder / f"CT_{ct}", folder / f"SEG_{seg}"
    header = case.header
    name = f"{case.day:%m-%d-%Y}-{header.study_id}-{_plain(header.study_description)}-{study[-5:]}"
    folder = root / DICOM[layout] / TITLE / case.name / name
    segmentation = f"300.000000-SYNTHETIC Lymph node segmentations-{seg[-5:]}"
    return folder / f"1.000000-{_plain(header.series_description)}-{ct[-5:]}", folder / segmentation


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9 ]", "", text)


def _uuid(uid: str) -> str:
    """Return the UUID that a UID of the root 2.25 is."""
    digits = f"{int(uid.rpartition('.')[2]):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _write_annotations(case: CaseToWrite, folder: Path) -> None:
    """Write indices, points and sizes: the short axes, in the abdomen the long ones too."""
    folder.mkdir(parents=True)
    geometry = case.phantom.volume.geometry
    voxels = [geometry.nearest_voxel(node.centre_mm) for node in case.annotated]
    points = [_rounded(geometry.index_to_mm(voxel).tolist()) for voxel in voxels]
    columns = 1 if case.region == MEDIASTINUM else 2
    sizes = [(node.short_axis_mm, node.long_axis_mm)[:columns] for node in case.annotated]
    stem = f"{case.name}_lymphnodes"
    _write_table(folder / f"{stem}_indices.txt", voxels)
    _write_table(folder / f"{stem}_sizes.txt", [[round(size, 1) for size in row] for row in sizes])
    _write_points(folder, stem, points)


def write_candidates(case: CaseToWrite, folder: Path) -> None:
    """Write candidates and the id of the node of each; some cases' files are empty, as in the public collection."""
    folder.mkdir(parents=True)
    number = int(case.name.rpartition("_")[2])
    base = 100 * number + (0 if case.region == MEDIASTINUM else 10000)
    found = case.candidates
    named = catalogue().entry(case.name)
    flags = named.flags if named else frozenset()
    positives = [] if "no_positive_candidates" in flags else found.positives
    negatives = [] if "no_negative_candidates" in flags else found.negatives
    ids = {"pos": [base + row + 1 for _, row in positives], "neg": [-1] * len(negatives)}
    # Half of the real files were written on Windows.
    end = "\r\n" if number % 2 else "\n"
    for kind, points in (("pos", [point for point, _ in positives]), ("neg", negatives)):
        stem = f"{case.name}_{kind}CADe"
        _write_points(folder, stem, [_rounded(_noisy(point)) for point in points], end)
        _write_table(folder / f"{stem}_grtIDs.txt", [[each] for each in ids[kind]])


def _rounded(point: Sequence[float]) -> Point:
    """Return the point with the six digits of the text files."""
    x, y, z = (float(f"{value:.6g}") for value in point)
    return x, y, z


def _noisy(point: Point) -> Point:
    """Return the point with values near 0 replaced, so that some numbers have exponents, as in the real files."""
    x, y, z = (9.15527e-5 if abs(value) < 0.2 else value for value in point)
    return x, y, z


def _write_points(folder: Path, stem: str, points: Sequence[Point], end: str = "\n") -> None:
    _write_table(folder / f"{stem}_physicalPoints.txt", points, end)
    path = folder / f"{stem}_physicalPoints.mps"
    if points:
        write_point_set(path, points)
    else:
        path.write_bytes(b"")


def _write_table(path: Path, rows: Sequence[Sequence[float]], end: str = "\n") -> None:
    lines = (" ".join(f"{value:g}" for value in row) + end for row in rows)
    text = "".join(lines)
    if end == "\r\n":  # exponents of three digits, as programs on Windows wrote them
        text = re.sub(r"e([+-])(\d\d)\b", r"e\g<1>0\2", text)
    path.write_bytes(text.encode("ascii"))


def _write_truth(case: CaseToWrite, labels: Sequence[int], path: Path) -> None:
    """Write all nodes in the scan: the columns of ``nodes.csv``, whether they are annotated, their row and label.

    Sizes are those of the shapes, HU those before noise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = truth_rows(case.phantom, case.name)
    places = {node.node: (row, labels[row - 1]) for row, node in enumerate(case.annotated, start=1)}
    extra = [("1", *map(str, places[row.node])) if row.node in places else ("0", "", "") for row in rows]
    values = ([*texts_of(row), *more] for row, more in zip(rows, extra, strict=True))
    write_csv(path, (*COLUMNS, "marked", "row", "mask"), values)


def truth_rows(phantom: Phantom, case: str) -> list[NodeRow]:
    """Return the true nodes as rows of ``nodes.csv``: sizes of the shapes, HU before noise, no score, no model."""
    geometry = phantom.volume.geometry
    rows = []
    for node in phantom.nodes:
        rows.append(
            NodeRow(
                case,
                node.node,
                *node.centre_mm,
                *geometry.nearest_voxel(node.centre_mm),
                score=None,
                region=node.region,
                station=node.station,
                short_axis_mm=node.short_axis_mm,
                long_axis_mm=node.long_axis_mm,
                volume_mm3=node.volume_mm3,
                mean_hu=node.hu,
                model="",
            )
        )
    return rows


def replace_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, whole or not at all; one that exists is replaced."""
    with new_file(path, overwrite=True) as staging:
        write_csv(staging, columns, rows)
