"""The response at a follow-up as a DICOM structured report (PS3.16 TID 1500), with the codes that DICOM has for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydicom.sr.coding import Code

from ctlymph.followup.course import Assessment, FollowUp, Role
from ctlymph.io.dicom import codes
from ctlymph.io.dicom.references import ObjectHeader, referenced_ct
from ctlymph.io.dicom.sr_writer import images_with, program_report, write_report
from ctlymph.io.dicom.uids import new_uid

_SERIES_NUMBER = 303


def write_reports(folder: Path, followed: FollowUp) -> list[Path]:
    """Write ``response_1.dcm`` and so on for each follow-up whose CT was read from DICOM; return their paths."""
    created, seed = datetime.now(), uuid4().hex
    paths = []
    for visit in range(1, len(followed.volumes)):
        if followed.volumes[visit].attributes.get("source_uids"):
            paths.append(folder / f"response_{visit}.dcm")
            write_response_report(paths[-1], followed, visit, created, seed)
    return paths


def write_response_report(path: Path, followed: FollowUp, visit: int, created: datetime, seed: str) -> None:
    """Write the report of one visit: the sum and category, and each target, tracked alike at all visits.

    Args:
        path: The file.
        followed: The course, whose CT of that visit was read from DICOM.
        visit: Its number.
        created: When it was made.
        seed: The UIDs follow from it; the same for all visits.

    Raises:
        CtlymphError: If the CT was not read from DICOM, or the file cannot be written.
    """
    source = referenced_ct(followed.volumes[visit])
    assessment = followed.response.assessments[visit]
    groups = [_total(assessment, seed), *_targets(followed, assessment, seed)]
    images = list(images_with(followed.course.visits[visit].nodes, followed.volumes[visit].geometry, source))
    header = ObjectHeader("Lymph node response, RECIST 1.1", created, _SERIES_NUMBER, seed=f"{seed} response {visit}")
    write_report(path, program_report(groups), source, header, images)


def _total(assessment: Assessment, seed: str) -> Any:
    """Return the group of measurements for all targets together."""
    numbers = [(codes.SUM, assessment.sum_mm), (codes.NADIR, assessment.nadir_mm)]
    numbers.append((codes.HYPOTHETICAL, assessment.hypothetical_mm))
    category = assessment.category
    said = [] if category is None else [(codes.CURRENT_RESPONSE, codes.RESPONSES.get(category, codes.NOT_EVALUABLE))]
    return _group("All targets", assessment.visit, seed, numbers, said)


def _targets(followed: FollowUp, assessment: Assessment, seed: str) -> Iterator[Any]:
    for number, role in followed.response.roles.items():
        if role == Role.TARGET:
            added = [(codes.SHORT_AXIS, assessment.adds_mm[number])]
            yield _group(f"Target {number}", assessment.visit, seed, added, [])


def _group(name: str, visit: int, seed: str, numbers: list[tuple[Code, float]], said: list[tuple[Code, Code]]) -> Any:
    from highdicom.sr import (
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        TimePointContext,
        TrackingIdentifier,
    )

    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(new_uid(seed, f"tracking {name}"), name),
        time_point_context=TimePointContext(f"visit {visit}"),
        finding_type=codes.LYMPH_NODE,
        method=codes.RECIST,
        measurements=[Measurement(what, round(value, 2), codes.MM) for what, value in numbers],
        qualitative_evaluations=[QualitativeEvaluation(what, how) for what, how in said],
    )
