"""A patient's scans, one after another: nodes in each, which became which, and the response by RECIST 1.1."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from ctlymph.core.errors import CtlymphError, Remedy, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.result import Result
from ctlymph.core.volume import Volume
from ctlymph.followup.course import Course, FollowUp, Role, Visit
from ctlymph.followup.node_matching import match_nodes
from ctlymph.followup.recist import assess_response
from ctlymph.followup.registration import USUAL_CORRELATION, Registration, register
from ctlymph.io import read
from ctlymph.io.dicom.seg_reader import is_segmentation, referenced_series
from ctlymph.io.dicom.sr_reader import is_report, read_report
from ctlymph.measurement.noderads import assess_nodes
from ctlymph.workflows.detection import DetectOptions, find_nodes
from ctlymph.workflows.measuring import measure

NODES, MASKS = "nodes.json", "masks.nii.gz"
"""The files by which a folder of results is told from one of DICOM."""


def read_scan(path: Path, options: DetectOptions, nodes: Path | None = None) -> Result:
    """Read a scan and its nodes, or detect these.

    Args:
        path: A CT, in which nodes are detected unless they are given; a folder of results that
            :func:`ctlymph.write_results` wrote; or a DICOM-SEG, or its report, whose CT lies in its folder or one of
            the two above.
        options: How to detect nodes.
        nodes: The nodes of a CT, as :func:`ctlymph.measure` takes them.

    Returns:
        The scan and its nodes.

    Raises:
        CtlymphError: If something is not there, does not belong together, or cannot be read.
    """
    if nodes is not None:
        return measure(read(path, progress=options.progress), nodes)
    if (path / NODES).is_file():
        return _read_results(path, options.progress)
    if path.is_file() and (volume := _referenced_ct(path, options.progress)) is not None:
        return measure(volume, path)
    return find_nodes(read(path, progress=options.progress), options)


def _read_results(folder: Path, progress: Progress) -> Result:
    """Read results; their masks are measured again, since someone may have corrected them."""
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
    scan = measure(read(ct, series=series, progress=progress), folder / MASKS)
    nodes = tuple(replace(node, score=scores.get(node.node), model=model) for node in scan.nodes)
    return replace(scan, nodes=nodes, model=model, trained_on=trained_on)


def _referenced_ct(path: Path, progress: Progress) -> Volume | None:
    """Read the CT that a DICOM-SEG, or a report of one, refers to; None where the file is neither."""
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


def follow(
    scans: Sequence[Result | Volume | str | Path],
    *,
    roles: Mapping[int, Role] | None = None,
    options: DetectOptions | None = None,
    progress: Progress = SILENT,
) -> FollowUp:
    """Follow a patient's nodes from scan to scan, and assess the response by RECIST 1.1.

    Args:
        scans: The baseline first, then the follow-ups in the order of time: what :func:`ctlymph.detect` or
            :func:`ctlymph.measure` returned, CTs in which nodes are to be detected, or paths that
            :func:`read_scan` reads.
        roles: Of the baseline's nodes, by number; by default as RECIST 1.1 chooses them by size.
        options: How to detect nodes in scans that come without.
        progress: Where to show the advance.

    Returns:
        Which node became which, and the response at each visit.

    Raises:
        CtlymphError: If a scan cannot be read; the scans are of several patients, not in the order of time or the
            same twice; nodes of one scan overlap; or two scans cannot be registered.

    Example:
        >>> import ctlymph
        >>> course = ctlymph.follow(["CT_JANUARY", "CT_APRIL"])             # doctest: +SKIP
        >>> [each.category for each in course.response.assessments]        # doctest: +SKIP
        [None, 'PR']
    """
    results = [_result_of(scan, options, progress) for scan in scans]
    check_scans(results)
    visits = [Visit(number, each.case, each.study_date, tuple(each.nodes)) for number, each in enumerate(results)]
    registrations = [register(a.volume, b.volume, progress) for a, b in pairwise(results)]
    masks = [each.masks for each in results]
    course = _with_node_rads(match_nodes(visits, masks, registrations), results)
    notes = [f"{each.case}, visit {number}: {note}" for number, each in enumerate(results) for note in each.notes]
    return FollowUp(
        patient=str(results[0].volume.attributes.get("PatientID") or results[0].case),
        volumes=[each.volume for each in results],
        masks=masks,
        course=course,
        response=assess_response(course, roles),
        model=", ".join(dict.fromkeys(each.model for each in results if each.model)),
        trained_on=" ".join(dict.fromkeys(each.trained_on for each in results if each.trained_on)),
        notes=[*notes, *_caveats(results, registrations)],
    )


def _result_of(scan: Result | Volume | str | Path, options: DetectOptions | None, progress: Progress) -> Result:
    if isinstance(scan, Result):
        return scan
    options = options or DetectOptions(progress=progress)
    return find_nodes(scan, options) if isinstance(scan, Volume) else read_scan(Path(scan), options)


def check_scans(scans: Sequence[Result]) -> None:
    """Refuse scans that cannot be a course of one patient.

    Raises:
        CtlymphError: If there is only one, they name several patients, one comes twice, they are not in the order of
            time, or nodes of one overlap.
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
        earlier, later = before.study_date, after.study_date
        if earlier and later and later < earlier:
            raise CtlymphError(
                f"visit {number} ({after.case}, {later}) is before visit {number - 1} ({earlier}); give the baseline "
                "first, and the others in the order of time"
            )
    for scan in scans:
        if scan.overlapping:
            raise CtlymphError(f"{scan.case}: nodes overlap, and cannot be matched; give nodes that do not")


def _caveats(scans: Sequence[Result], registrations: Sequence[Registration]) -> list[str]:
    """Return what makes the course less certain, one sentence each."""
    notes = []
    if undated := dict.fromkeys(scan.case for scan in scans if scan.study_date is None):
        notes.append(f"{', '.join(undated)}: the date is not known; the scans are taken to be in the order of time.")
    if not all(scan.volume.attributes.get("PatientID") for scan in scans):
        notes.append("Not all scans name their patient; they are taken to be of one patient.")
    for number, registration in enumerate(registrations, start=1):
        if registration.correlation < USUAL_CORRELATION:
            notes.append(
                f"Visit {number} correlates with the one before by {registration.correlation:.2f} only; "
                f"{USUAL_CORRELATION} is usual. Check that both are of one patient, and how nodes were matched."
            )
    return notes


def _with_node_rads(course: Course, scans: Sequence[Result]) -> Course:
    """Return the course with the Node-RADS of every node, which depends on its size at the visit before."""
    visits = []
    for visit, scan in zip(course.visits, scans, strict=True):
        earlier_mm = {}
        for node in visit.nodes:
            parents = course.parents.get((visit.number, node.node), ())
            if len(parents) == 1 and len(course.children(parents[0])) == 1:  # neither merged nor split
                earlier_mm[node.node] = course.node(parents[0]).sizes.short_axis.length_mm
        nodes = assess_nodes(scan.volume, scan.masks, visit.nodes, earlier_mm)
        visits.append(replace(visit, nodes=tuple(nodes)))
    return Course(tuple(visits), course.parents)
