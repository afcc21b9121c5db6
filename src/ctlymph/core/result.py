"""What was found in one CT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from ctlymph.core.nodes import LymphNode
from ctlymph.core.volume import Masks, Volume


@dataclass(frozen=True, eq=False)
class Result:
    """The nodes of one CT, and how they came about.

    Attributes:
        volume: The CT as it was read.
        masks: Instance masks on the CT's own grid; labels are the nodes' numbers.
        nodes: The nodes, surest first or in the order of their labels.
        regions: Regions that were searched, or none.
        model: Name of the detector, or ``""`` for masks that someone drew.
        trained_on: One sentence on the model's training data, shown wherever its output is.
        thresholds: By region, the score from which on marks count as nodes.
        notes: What a user should know: of reading, detecting, measuring; one sentence each.
        seconds: Time of each step, in order.
        overlapping: Masks of the nodes that overlap with others, on the same grid.
        created: When it was made.
        seed: The UIDs of its DICOM objects follow from it.
    """

    volume: Volume
    masks: Masks
    nodes: Sequence[LymphNode]
    regions: Sequence[str] = ()
    model: str = ""
    trained_on: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    overlapping: tuple[Masks, ...] = ()
    created: datetime = field(default_factory=datetime.now)
    seed: str = field(default_factory=lambda: uuid4().hex)

    def __repr__(self) -> str:
        origin = f"model {self.model}" if self.model else "annotated masks"
        return f"Result({len(self.nodes)} nodes, {origin}, {self.volume.geometry.summary})"

    @property
    def layers(self) -> tuple[Masks, ...]:
        """All masks; each node lies in one of them."""
        return (self.masks, *self.overlapping)

    @property
    def case(self) -> str:
        """What the CT's owner calls it."""
        return self.volume.case
