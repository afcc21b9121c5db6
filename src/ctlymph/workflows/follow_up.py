"""A patient's scans, one after another: nodes in each, which became which, and RECIST's view of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ctlymph.core.errors import CtlymphError, Remedy, shown
from ctlymph.core.nodes import LymphNode
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Masks, Volume
from ctlymph.followup.course import Course, Role, Visit
from ctlymph.followup.followed import Followed
from ctlymph.workflows.annotated import read_drawn
from ctlymph.workflows.detection import DetectOptions, run

if TYPE_CHECKING:
    from ctlymph.followup.registration import Alignment

NODES, MASKS = "nodes.json", "masks.nii.gz"
"""What tells a folder of results from one of DICOM."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT and the nodes in it.

    Attributes:
        volume: The CT.
        masks: Of the nodes, on its grid; labels are their numbers.
        nodes: The nodes.
        model: Name of the detector, or ``""`` for nodes that someone drew.
        trained_on: One sentence on its training data.
        notes: What a user should know, one sentence each.
    """

    volume: Volume
    masks: Masks
    nodes: tuple[LymphNode, ...]
    model: str = ""
    trained_on: str = ""
    notes: tuple[str, ...] = ()

    __repr__ = short_repr

    @property
    def day(self) -> date | None:
        """The day of the study, where the CT tells it."""
        text = str(self.volume.attributes.get("StudyDate") or "")
        try:
            return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
        except ValueError:
            return None


def read_scan(path: Path, options: DetectOptions, nodes: Path | None = None) -> Scan:
    """Read a scan and its nodes, or find these.

    Args:
        path: A CT, in which nodes are looked for unless they are given; a folder of results of ``ctlymph detect`` or
            ``ctlymph measure``; or a DICOM-SEG, or its report, whose CT lies in its folder or one of the two above.
        options: How to look for nodes.
        nodes: The nodes of a CT, as :func:`ctlymph.workflows.annotated.read_drawn` takes them.

    Raises:
        CtlymphError: If something is not there, does not belong together, or cannot be read.
    """
    from ctlymph.io import read

    if nodes is not None:
        return _drawn(read(path, progress=options.progress), nodes)
    if (path / NODES).is_file():
        return _of_results(path, options.progress)
    if path.is_file() and (found := _segmented(path, options.progress)) is not None:
        return _drawn(found, path)
    volume = read(path, progress=options.progress)
    result = run(volume, options)
    notes = tuple(result.notes)
    return Scan(volume, result.masks, tuple(result.nodes), result.model, result.trained_on, notes)


def _drawn(volume: Volume, nodes: Path) -> Scan:
    drawn = read_drawn(nodes, volume)
    if len(drawn.layers) > 1:
        raise CtlymphError(f"{nodes}: nodes overlap, and which becomes which cannot be told; give nodes that are apart")
    return Scan(volume, drawn.layers[0], drawn.nodes, notes=(*volume.notes, *drawn.notes))


def _of_results(folder: Path, progress: Progress) -> Scan:
    """Read results: their masks are measured again, since someone may have mended them."""
    from ctlymph.io import read

    try:
        document = json.loads((folder / NODES).read_text(encoding="utf-8"))
        ct, series = document["ct"], document.get("series") or None
        scores = {int(node["node"]): node["score"] for node in document["nodes"]}
        model, trained_on = str(document["model"]), str(document["trained_on"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CtlymphError(f"cannot read {folder / NODES}: {shown(error)}; detect or measure again") from error
    if not Path(ct).exists():
        raise CtlymphError(f"the CT of {folder}, {ct}, is not there any more", Remedy.NODES, nodes=folder / MASKS)
    if not (folder / MASKS).is_file():
        raise CtlymphError(f"{folder} has no {MASKS}", Remedy.MASKS)
    scan = _drawn(read(ct, series=series, progress=progress), folder / MASKS)
    nodes = tuple(replace(node, score=scores.get(node.node), model=model) for node in scan.nodes)
    return replace(scan, nodes=nodes, model=model, trained_on=trained_on)


def _segmented(path: Path, progress: Progress) -> Volume | None:
    """Read the CT that a DICOM-SEG, or a report of one, refers to; None where the file is neither."""
    from ctlymph.io import read
    from ctlymph.io.dicom.seg_reader import is_segmentation, referenced_series
    from ctlymph.io.dicom.sr_reader import is_report, read_report

    if is_report(path):
        segmentation = read_report(path).segmentation
    elif is_segmentation(path):
        segmentation = path
    else:
        return None
    series = referenced_series(segmentation)
    for folder in list(segmentation.absolute().parents)[:3]:
        try:
            return read(folder, series=series, progress=progress)
        except CtlymphError as error:
            why = error
    raise CtlymphError(
        f"the CT of {path} is not found in its folder or the two above ({why})", Remedy.NODES, nodes=path
    )


def follow(scans: Sequence[Scan], *, roles: Mapping[int, Role] | None = None, progress: Progress = SILENT) -> Followed:
    """Follow a patient's nodes over scans, in the order of time.

    Args:
        scans: The baseline first.
        roles: Of the baseline's nodes; by default as RECIST 1.1 chooses them by size.
        progress: Where to show the advance.

    Raises:
        CtlymphError: If the scans are of several patients, not in the order of time, the same twice, or cannot be
            laid over each other.
    """
    from ctlymph.followup.node_matching import followed
    from ctlymph.followup.recist import respond
    from ctlymph.followup.registration import align

    check(scans)
    visits = [Visit(number, scan.volume.case, scan.day, scan.nodes) for number, scan in enumerate(scans)]
    alignments = [align(a.volume, b.volume, progress) for a, b in pairwise(scans)]
    masks = [scan.masks for scan in scans]
    course = _judged(followed(visits, masks, alignments), scans)
    notes = [f"{scan.volume.case}, visit {number}: {note}" for number, scan in enumerate(scans) for note in scan.notes]
    models = dict.fromkeys(scan.model for scan in scans if scan.model)
    trained_on = dict.fromkeys(scan.trained_on for scan in scans if scan.trained_on)
    return Followed(
        patient=str(scans[0].volume.attributes.get("PatientID") or scans[0].volume.case),
        volumes=[scan.volume for scan in scans],
        masks=masks,
        course=course,
        response=respond(course, roles),
        model=", ".join(models),
        trained_on=" ".join(trained_on),
        notes=[*notes, *_doubts(scans, alignments)],
    )


def check(scans: Sequence[Scan]) -> None:
    """Refuse scans that are no course of one patient by what their headers say.

    Raises:
        CtlymphError: If there is but one, they name several patients, one comes twice, or they are not in the order
            of time.
    """
    if len(scans) < 2:
        raise CtlymphError("one scan has no course; give the baseline and at least one follow-up")
    patients = dict.fromkeys(str(scan.volume.attributes.get("PatientID") or "") for scan in scans)
    named = [shown(patient) for patient in patients if patient]
    if len(named) > 1:
        raise CtlymphError(f"the scans are of {len(named)} patients ({', '.join(named)}); give those of one")
    series = [uid for scan in scans if (uid := scan.volume.attributes.get("SeriesInstanceUID"))]
    if len(set(series)) < len(series):
        raise CtlymphError("the same series is given twice; give each scan once")
    for number, (before, after) in enumerate(pairwise(scans), start=1):
        if before.day and after.day and after.day < before.day:
            raise CtlymphError(
                f"visit {number} ({after.volume.case}, {after.day}) is before visit {number - 1} ({before.day}); give "
                "the baseline first, and the others in the order of time"
            )


def _doubts(scans: Sequence[Scan], alignments: Sequence[Alignment]) -> list[str]:
    from ctlymph.followup.registration import USUAL_AGREEMENT

    said = []
    unknown = dict.fromkeys(scan.volume.case for scan in scans if scan.day is None)
    if unknown:
        said.append(f"{', '.join(unknown)}: no day is known; the scans were taken in the order given.")
    if not all(scan.volume.attributes.get("PatientID") for scan in scans):
        said.append("Not all scans name their patient; they were taken for one patient's.")
    for number, alignment in enumerate(alignments, start=1):
        if alignment.agreement < USUAL_AGREEMENT:
            said.append(
                f"Visit {number} agrees with the one before by {alignment.agreement:.2f} only, {USUAL_AGREEMENT} being "
                "usual; see whether both are of one patient, and how nodes were paired."
            )
    return said


def _judged(course: Course, scans: Sequence[Scan]) -> Course:
    """Give every node its Node-RADS, knowing how large it was before."""
    from ctlymph.measurement.noderads import judge_nodes

    visits = []
    for visit, scan in zip(course.visits, scans, strict=True):
        former = {}
        for node in visit.nodes:
            parents = course.parents.get((visit.number, node.node), ())
            if len(parents) == 1 and len(course.children(parents[0])) == 1:  # neither merged nor split
                former[node.node] = course.node(parents[0]).sizes.short_axis.length_mm
        visits.append(replace(visit, nodes=tuple(judge_nodes(scan.volume, scan.masks, visit.nodes, former))))
    return Course(tuple(visits), course.parents)
