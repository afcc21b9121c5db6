"""The parts of a body; each is a solid of one tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ctlymph.phantom.body.shapes import Solid

Kind = Literal["surroundings", "fat", "muscle", "bone", "lung", "vessel", "airway", "organ", "bowel", "twigs", "node"]
"""``surroundings`` enclose others; ``twigs`` are thin vessels that a node may swallow."""

TubePoint = tuple[float, float, float, float]
"""A point x, y, z of the standard patient, mm, and the radius of a tube there, mm."""


@dataclass(frozen=True)
class BodyPart:
    """A solid of one tissue. Parts are painted in order; a later one covers an earlier one.

    Attributes:
        name: As an anatomist calls it.
        kind: What sort of tissue it is, for the placement of nodes and of false candidates.
        solid: Its shape, LPS mm.
        hu: Its CT number.
    """

    name: str
    kind: Kind
    solid: Solid
    hu: float
