"""What the table of detectors holds: a method with its stages, and what its paper reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ctlymph.detectors.base import System


@dataclass(frozen=True)
class Published:
    """Sensitivities that a method's paper reports.

    Attributes:
        sensitivity: By false positives per CT.
        on: The data, and what differs from a measurement here.
    """

    sensitivity: Mapping[float, float]
    on: str


@dataclass(frozen=True)
class Method:
    """A detector by name, as :func:`ctlymph.detectors.registry.method` returns it.

    Attributes:
        name: What models, benchmarks and training call it.
        summary: One line on how it works.
        systems: Its stages, by region.
        published: What its paper reports, by region.
        threshold: Of a rule, the score from which on marks count as nodes; a trained model has its own.
        network: Whether it is trained with PyTorch, which takes long without a GPU.
    """

    name: str
    summary: str
    systems: Mapping[str, System]
    published: Mapping[str, Published] = field(default_factory=dict)
    threshold: float | None = None
    network: bool = False

    @property
    def is_trainable(self) -> bool:
        """Whether it must be trained before it can be used."""
        return any(system.is_trainable for system in self.systems.values())

    def in_steps(self, steps: int) -> Method:
        """Return it with networks that are trained for another number of steps."""
        return replace(self, systems={region: system.in_steps(steps) for region, system in self.systems.items()})
