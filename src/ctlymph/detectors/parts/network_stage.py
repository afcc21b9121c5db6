"""What all networks share as stages of a system: how they learn, where they run, what they begin with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from ctlymph.core.progress import SILENT, Progress
from ctlymph.detectors.settings import NOT_A_SETTING, TRAINING_ONLY
from ctlymph.nn.layers import Architecture, Weights
from ctlymph.nn.quantization import with_ranges
from ctlymph.nn.training_loop import Batch, Draw, Loss, Schedule, TrainingSpec, fit

_BATCHES, _OF_EACH = 8, 4
"""So many batches, and examples of each, tell the ranges by which a network computes in int8."""


@dataclass(frozen=True, eq=False)
class Start:
    """What a network begins to learn with.

    Attributes:
        sha256: Of the file that the weights come from.
        weights: Of the same architecture.
    """

    sha256: str
    weights: Weights = field(repr=False, metadata=NOT_A_SETTING)


@dataclass(frozen=True)
class NetworkStage(ABC):
    """A network as a trainable stage, :class:`~ctlymph.detectors.base.Resumable` and ``Configurable``.

    Attributes:
        schedule: How it learns.
        start: What it begins with; None: with weights drawn by chance.
    """

    version: ClassVar[int]

    schedule: Schedule = field(kw_only=True, metadata=TRAINING_ONLY)
    start: Start | None = field(default=None, kw_only=True, metadata=TRAINING_ONLY)

    @property
    @abstractmethod
    def architecture(self) -> Architecture:
        """The network."""

    @abstractmethod
    def batches(self, extracted: Sequence[Any]) -> tuple[Draw, Loss]:
        """Give what draws batches from cases, and what tells how far off the network's outputs are.

        Raises:
            CtlymphError: If the cases teach nothing.
        """

    def configured(self, steps: int | None, part: Mapping[str, Any] | None, sha256: str) -> Self:
        """Give this stage with another number of steps, and beginning with what such a stage has learned."""
        schedule = self.schedule if steps is None else replace(self.schedule, steps=steps)
        return replace(self, schedule=schedule, start=None if part is None else Start(sha256, part["weights"]))

    def fit(self, extracted: Sequence[Any], seed: int) -> dict[str, Any]:
        """Train the network, keeping nothing on the way."""
        return self.fit_resumable(extracted, seed, None, SILENT)

    def fit_resumable(
        self, extracted: Sequence[Any], seed: int, folder: Path | None, progress: Progress
    ) -> dict[str, Any]:
        """Train the network, with checkpoints in a folder, if one is given.

        Raises:
            CtlymphError: If the cases teach nothing, or as :func:`ctlymph.nn.training_loop.fit`.
        """
        draw, loss = self.batches(extracted)
        begin_with = None if self.start is None else self.start.weights
        spec = TrainingSpec(self.architecture, draw, loss, self.schedule, seed, begin_with)
        weights = fit(spec, folder, progress)
        return {"weights": with_ranges(self.architecture, weights, _examples(draw, seed, self.schedule.steps))}


def _examples(draw: Draw, seed: int, steps: int) -> Iterator[Batch]:
    """Draw what has not been learned from: some of each batch of further steps."""
    for step in range(steps, steps + _BATCHES):
        given, _ = draw(np.random.default_rng([seed, step]))
        yield tuple(each[:: max(1, len(each) // _OF_EACH)] for each in given)
