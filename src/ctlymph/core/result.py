"""The nodes of one CT with their masks, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import overload
from uuid import uuid4

from ctlymph.core.nodes import LymphNode
from ctlymph.core.volume import Masks, Volume


@dataclass(frozen=True, eq=False)
class Result(Sequence[LymphNode]):
    """The nodes of one CT and their masks; as a sequence, the nodes.

    Attributes:
        volume: The CT as it was read.
        masks: Instance masks on the CT's own grid; labels are the nodes' numbers.
        nodes: The nodes, by falling score or in the order of their labels.
        regions: Regions that were searched, or none.
        model: Name of the detector, or ``""`` for annotated nodes.
        trained_on: One sentence on the model's training data, shown wherever its output is.
        thresholds: By region, the score from which on marks count as nodes.
        notes: What a user should know: of reading, detecting, measuring; one sentence each.
        seconds: Time of each step, in order.
        overlapping: Masks of the nodes that overlap with others, on the same grid.
        created: When it was made.
        seed: The UIDs of its DICOM objects follow from it.

    Example:
        >>> import numpy as np
        >>> from ctlymph import Geometry, Masks, Result, Volume
        >>> grid = Geometry((4, 4, 4), origin_mm=np.zeros(3), spacing_mm=np.ones(3))
        >>> ct = Volume(np.zeros((4, 4, 4), np.int16), grid, case="patient")
        >>> result = Result(ct, Masks(np.zeros((4, 4, 4), np.uint16), grid), nodes=[])
        >>> result
        Result(0 nodes, annotated masks, 4 × 4 × 4 voxels of 1 × 1 × 1 mm, LPS)
        >>> [node.score for node in result]
        []
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

    def __len__(self) -> int:
        return len(self.nodes)

    @overload
    def __getitem__(self, index: int) -> LymphNode: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[LymphNode]: ...

    def __getitem__(self, index: int | slice) -> LymphNode | Sequence[LymphNode]:
        return self.nodes[index]

    def __repr__(self) -> str:
        origin = f"model {self.model}" if self.model else "annotated masks"
        return f"Result({len(self.nodes)} nodes, {origin}, {self.volume.geometry.summary})"

    @property
    def layers(self) -> tuple[Masks, ...]:
        """All masks; each node is in exactly one of them."""
        return (self.masks, *self.overlapping)

    @property
    def is_dicom(self) -> bool:
        """Whether the CT was read from DICOM."""
        return bool(self.volume.attributes.get("source_uids"))

    @property
    def case(self) -> str:
        """Name of the CT: the PatientID for DICOM, else the name of the file without its suffix."""
        return self.volume.case

    @property
    def study_date(self) -> date | None:
        """The day of the study, where the CT states it."""
        text = str(self.volume.attributes.get("StudyDate") or "")
        try:
            return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
        except ValueError:
            return None
