"""A patient's scans with the nodes in them, and RECIST's view of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Masks, Volume
from ctlymph.followup.course import Course, Response


@dataclass(frozen=True, eq=False)
class Followed:
    """A patient's scans, the nodes in them, and what RECIST makes of these.

    Attributes:
        patient: What the scans' owner calls the patient.
        volumes: The CTs, one a visit. They are looked at one after another, so they may be read as they are asked for.
        masks: Instance masks on their grids; labels are the nodes' numbers.
        course: Visits, and which node became which.
        response: RECIST's view of the course.
        model: Name of the detector, or ``""`` for masks that someone drew.
        trained_on: One sentence on the model's training data, shown wherever its output is.
        notes: What a user should know: of reading, detecting, matching; one sentence each.
    """

    patient: str
    volumes: Sequence[Volume]
    masks: Sequence[Masks]
    course: Course
    response: Response
    model: str = ""
    trained_on: str = ""
    notes: Sequence[str] = ()

    __repr__ = short_repr
