"""What all networks share as stages of a detector: how they are trained, exported and run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ctlymph.core.progress import SILENT, Progress
from ctlymph.detectors.settings import NOT_A_SETTING, TRAINING_ONLY
from ctlymph.nn.export import ExportedNetwork, Weights, export_network
from ctlymph.nn.inference import Run, compile_network
from ctlymph.nn.quantization import with_activation_ranges
from ctlymph.nn.run_context import Device, RunContext
from ctlymph.nn.training_loop import Batch, Draw, Loss, Schedule, TrainingSpec, fit

if TYPE_CHECKING:
    from torch import nn

_BATCHES, _OF_EACH = 8, 4
"""Activation ranges are those of as many batches, and as many examples of each."""


@dataclass(frozen=True, eq=False)
class Start:
    """Weights that a training starts from.

    Attributes:
        sha256: Of the file that they come from.
        weights: By their names in the module's ``state_dict``.
    """

    sha256: str
    weights: Weights = field(repr=False, metadata=NOT_A_SETTING)


@dataclass(frozen=True)
class NetworkStage(ABC):
    """A network as a trainable stage, :class:`~ctlymph.detectors.base.Resumable` and ``Configurable``.

    Attributes:
        name: Of the stage.
        schedule: How it is trained.
        start: What training starts from; None: from random weights.
    """

    version: ClassVar[int]
    used_outputs: ClassVar[tuple[int, ...] | None] = None
    """Numbers of the module's outputs that detection needs; the others only help training. None: all."""

    name: str
    schedule: Schedule = field(kw_only=True, metadata=TRAINING_ONLY)
    start: Start | None = field(default=None, kw_only=True, metadata=TRAINING_ONLY)

    @abstractmethod
    def module(self) -> nn.Module:
        """Return the network with random weights: any PyTorch module, which returns a tensor or several."""

    @abstractmethod
    def batches(self, extracted: Sequence[Any]) -> tuple[Draw, Loss]:
        """Return what draws batches from cases, and the loss.

        Raises:
            CtlymphError: If nothing can be learned from the cases.
        """

    def configured(self, steps: int | None, part: Mapping[str, Any] | None, sha256: str) -> Self:
        """Return this stage with another number of steps, starting from a trained part or from given weights."""
        schedule = self.schedule if steps is None else replace(self.schedule, steps=steps)
        if part is None:
            return replace(self, schedule=schedule, start=None)
        weights = part["weights"] if "weights" in part else ExportedNetwork.from_arrays(part).weights()
        return replace(self, schedule=schedule, start=Start(sha256, weights))

    def fit(self, extracted: Sequence[Any], seed: int) -> dict[str, Any]:
        """Train the network without checkpoints."""
        return self.fit_resumable(extracted, seed, None, SILENT)

    def fit_resumable(
        self, extracted: Sequence[Any], seed: int, folder: Path | None, progress: Progress, device: Device = "auto"
    ) -> dict[str, Any]:
        """Train the network, with checkpoints in a folder, if one is given, and export it.

        Returns:
            The arrays of an :class:`~ctlymph.nn.export.ExportedNetwork`.

        Raises:
            CtlymphError: If nothing can be learned from the cases, or as :func:`ctlymph.nn.training_loop.fit`.
        """
        draw, loss = self.batches(extracted)
        start = None if self.start is None else self.start.weights
        spec = TrainingSpec(self.name, self.module, draw, loss, self.schedule, seed, start, device)
        module = fit(spec, folder, progress)
        examples = list(_examples(draw, seed, self.schedule.steps))
        return with_activation_ranges(export_network(module, examples[0]), examples).arrays()

    def compiled(self, part: Mapping[str, Any], shape: Sequence[int], run: RunContext) -> Run:
        """Return the trained network ready to run on inputs of a shape, batch first."""
        return compile_network(ExportedNetwork.from_arrays(part), [shape], self.module, run, self.used_outputs)


def _examples(draw: Draw, seed: int, steps: int) -> Iterator[Batch]:
    """Yield inputs that the network was not trained on: some of each batch of further steps."""
    for step in range(steps, steps + _BATCHES):
        inputs, _ = draw(np.random.default_rng([seed, step]))
        yield tuple(each[:: max(1, len(each) // _OF_EACH)] for each in inputs)
