"""How networks learn: one loop in plain PyTorch, that goes on where it was killed.

Every step draws its examples from a generator of the seed and the step's number, and the rate depends on the number
alone: so a checkpoint holds all that there is to know, and a run that was killed comes to the same end.
"""

from __future__ import annotations

import csv
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import SILENT, Progress
from ctlymph.io.atomic import new_file
from ctlymph.nn.distributed import Ranks, own_rank
from ctlymph.nn.layers import Architecture, Weights

if TYPE_CHECKING:
    from torch import Tensor

    from ctlymph.nn.torch_backend import TorchNetwork

Batch = tuple[NDArray[Any], ...]
Draw = Callable[[np.random.Generator], tuple[Batch, Batch]]
"""Draws a batch: what the network is given, and what it should answer."""

_AHEAD = 2
"""Batches that are drawn before they are needed."""

Loss = Callable[[Sequence["Tensor"], Sequence["Tensor"]], "Tensor"]
"""Of outputs and answers, a scalar."""

CHECKPOINT, LOG = "checkpoint.npz", "log.csv"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns.

    Attributes:
        steps: Batches.
        rate: Greatest learning rate; it rises over the first twentieth of the steps and falls along a cosine to zero.
        decay: Of the weights (Loshchilov and Hutter, ICLR 2019).
        checkpoint_every: Steps between checkpoints.
        average: Share of the mean of weights that a step leaves; this mean, over about 1 / (1 - average) steps, is
            what has been learned.
        last_layer: Of a network that begins with weights of another: this layer begins anew, at the full rate.
        rate_below: Share of the rate for the layers below it (Shin 2016: a tenth).
    """

    steps: int
    rate: float = 1e-3
    decay: float = 1e-4
    checkpoint_every: int = 100
    average: float = 0.99
    last_layer: str = ""
    rate_below: float = 0.1

    def rate_at(self, step: int) -> float:
        """Give the rate of a step, 0…steps - 1."""
        rising = max(self.steps // 20, 1)
        if step < rising:
            return self.rate * (step + 1) / rising
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(self.steps - rising, 1)))


@dataclass(frozen=True, eq=False)
class TrainingSpec:
    """What a network is to learn.

    Attributes:
        architecture: Of the network.
        draw: Gives examples.
        loss: Of outputs and answers, a scalar.
        schedule: How long and how fast.
        seed: For weights and examples.
        begin_with: Weights of the same architecture to begin with, but for the schedule's last layer.
    """

    architecture: Architecture
    draw: Draw
    loss: Loss
    schedule: Schedule
    seed: int
    begin_with: Weights | None = None


def fit(spec: TrainingSpec, folder: Path | None = None, progress: Progress = SILENT) -> dict[str, Any]:
    """Let a network learn.

    Args:
        spec: What and how.
        folder: For checkpoint and log; where it has a checkpoint, learning goes on there. None: nothing is kept.
        progress: Where to show the advance.

    Returns:
        Its :data:`~ctlymph.nn.layers.Weights`.

    Raises:
        CtlymphError: If the loss becomes infinite or no number, memory runs out, PyTorch is absent, or the checkpoint
            cannot be read.
    """
    if find_spec("torch") is None:
        raise CtlymphError("networks learn with PyTorch; install it: pip install 'ctlymph[train]'")
    ranks = own_rank()
    learner = _Learner(spec, ranks)
    begin = learner.resume(folder) if folder else 0
    steps = spec.schedule.steps
    writes = folder if ranks.number == 0 else None
    with progress.task(f"{spec.architecture.name} learns", steps) as advance, _tensorboard(writes, begin) as tell:
        advance(begin)
        start = time.perf_counter()
        for step, batch in _batches(spec, begin, ranks):
            loss = learner.step(step, batch)
            tell(step, loss)
            start, before = time.perf_counter(), start
            learner.log.append((step, loss, spec.schedule.rate_at(step), start - before))
            if (step + 1) % spec.schedule.checkpoint_every == 0 or step + 1 == steps:
                learner.share_statistics()
                if writes:
                    learner.keep(writes, step + 1)
            advance(1)
    return learner.mean.weights()


def _batches(spec: TrainingSpec, begin: int, ranks: Ranks) -> Iterator[tuple[int, tuple[Batch, Batch]]]:
    """Give the batches of all steps from one on, each drawn while the network learns from the one before."""

    def draw(step: int) -> tuple[Batch, Batch]:
        own = [ranks.number] * (ranks.count > 1)
        return spec.draw(np.random.default_rng([spec.seed, step, *own]))

    steps = spec.schedule.steps
    with ThreadPoolExecutor(1) as drawer:
        ahead = deque(drawer.submit(draw, step) for step in range(begin, min(begin + _AHEAD, steps)))
        for step in range(begin, steps):
            batch = ahead.popleft().result()
            if step + _AHEAD < steps:
                ahead.append(drawer.submit(draw, step + _AHEAD))
            yield step, batch


@contextmanager
def _tensorboard(folder: Path | None, begin: int) -> Iterator[Callable[[int, float], None]]:
    """Give what writes the loss of a step for TensorBoard; it writes nothing where nothing is kept."""
    if folder is None:
        yield lambda step, loss: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=begin) as writer:
        yield lambda step, loss: writer.add_scalar("loss", loss, step)


class _Learner:
    """A network while it learns: all that a checkpoint holds."""

    def __init__(self, spec: TrainingSpec, ranks: Ranks) -> None:
        import torch

        from ctlymph.nn.torch_backend import TorchNetwork

        self.spec, self.ranks = spec, ranks
        self.network, self.mean = (TorchNetwork(spec.architecture, spec.seed) for _ in range(2))
        last = spec.schedule.last_layer
        if spec.begin_with is not None:
            for each in (self.network, self.mean):
                each.load(spec.begin_with, leave=[last])
        for each in (self.network, self.mean):
            for value in each.to(ranks.device).parameters():
                value.data = _laid_out(value.data)
        self.network.train()
        self.mean.eval()
        groups = _groups(self.network, last if spec.begin_with is not None else "", spec.schedule.rate_below)
        self.optimiser = torch.optim.AdamW(groups, weight_decay=spec.schedule.decay)
        self.shares = [group["share"] for group in groups]
        self.kind = ranks.device.split(":")[0]
        self.short_numbers = self.kind == "cuda" or _computes_bf16()
        self.log: list[tuple[int, float, float, float]] = []

    def step(self, number: int, batch: tuple[Batch, Batch]) -> float:
        """Learn from the batch of a step.

        Returns:
            The loss.
        """
        import torch

        schedule = self.spec.schedule
        torch.manual_seed(self.spec.seed * 1_000_003 + number)  # of dropout
        given, wanted = batch
        for group, share in zip(self.optimiser.param_groups, self.shares, strict=True):
            group["lr"] = schedule.rate_at(number) * share
        try:
            with torch.autocast(self.kind, torch.bfloat16, enabled=self.short_numbers):
                outputs = self.network(*self._placed(given))
            loss = self.spec.loss([each.float() for each in outputs], self._placed(wanted))
            value = self._finite("loss", self._over_all(loss.detach()), number)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.ranks.average(each.grad for each in self.network.parameters() if each.grad is not None)
        except torch.OutOfMemoryError as error:
            raise CtlymphError(
                f"{self.spec.architecture.name}: the GPU's memory is full; lower the batch or the size of its parts"
            ) from error
        slope = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self._finite("gradient of the loss", float(slope), number)
        self.optimiser.step()
        self._average(min(schedule.average, (number + 1) / (number + 10)))
        return value

    def _finite(self, what: str, value: float, step: int) -> float:
        if not math.isfinite(value):
            raise CtlymphError(
                f"{self.spec.architecture.name}: the {what} is {value} in step {step}; lower the rate "
                f"({self.spec.schedule.rate:g}), or look for broken CTs"
            )
        return value

    def _over_all(self, loss: Tensor) -> float:
        """Give the mean loss of all processes: where one has no number, all stop."""
        loss = loss.clone()
        self.ranks.average([loss])
        return float(loss)

    def share_statistics(self) -> None:
        """Let all processes have the same running means and variances; the rest is the same already."""
        for network in (self.network, self.mean):
            self.ranks.average(network.buffers())

    def keep(self, folder: Path, steps: int) -> None:
        """Write a checkpoint and the log."""
        moments = {
            f"optimiser {number} {kind}": value.numpy(force=True)
            for number, each in self.optimiser.state_dict()["state"].items()
            for kind, value in each.items()
        }
        weights = {
            f"{which} {name}": value
            for which, network in (("network", self.network), ("mean", self.mean))
            for name, value in network.weights().items()
        }
        with new_file(folder / CHECKPOINT, overwrite=True) as staging:
            np.savez(staging, steps=steps, log=np.array(self.log), **weights, **moments)
        with new_file(folder / LOG, overwrite=True) as staging, staging.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("step", "loss", "rate", "seconds"))
            writer.writerows((step, f"{loss:.6g}", f"{rate:.6g}", f"{took:.4f}") for step, loss, rate, took in self.log)

    def resume(self, folder: Path) -> int:
        """Take a checkpoint over, where there is one.

        Returns:
            The steps that have been made.
        """
        import torch

        path = folder / CHECKPOINT
        if not path.exists():
            return 0
        try:
            with np.load(path, allow_pickle=False) as file:
                state = dict(file)
            self.log = [(int(step), *rest) for step, *rest in state["log"].tolist()]
            self.network.load(_named(state, "network"))
            self.mean.load(_named(state, "mean"))
            moments: dict[int, dict[str, Tensor]] = {}
            for name, value in _named(state, "optimiser").items():
                number, kind = name.split()
                moments.setdefault(int(number), {})[kind] = torch.from_numpy(value)
            self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
            return int(state["steps"])
        except (OSError, BadZipFile, CtlymphError, RuntimeError, KeyError, ValueError, EOFError) as error:
            raise CtlymphError(f"{path} is damaged, or of another network; remove it to begin anew") from error

    def _placed(self, batch: Batch) -> list[Tensor]:
        import torch

        given = (torch.from_numpy(np.ascontiguousarray(each)) for each in batch)
        return [_laid_out(each.to(self.ranks.device, torch.float32)) for each in given]

    def _average(self, share: float) -> None:
        import torch

        with torch.no_grad():
            for mean, value in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
                mean.lerp_(value, 1 - share)


def _laid_out(tensor: Tensor) -> Tensor:
    """Lay pictures or filters out with their channels side by side, which processors and GPUs compute faster."""
    import torch

    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.ndim)
    return tensor if layout is None else tensor.contiguous(memory_format=layout)


def _groups(network: TorchNetwork, last: str, below: float) -> list[dict[str, Any]]:
    """Deal the parameters out to those that learn at the full rate and those that learn at a share of it."""
    named = list(network.named_parameters())
    full = [value for name, value in named if not last or name.startswith(f"{last}:")]
    slow = [value for name, value in named if last and not name.startswith(f"{last}:")]
    return [{"params": full, "share": 1.0}] + ([{"params": slow, "share": below}] if slow else [])


def _named(state: Mapping[str, NDArray[Any]], which: str) -> dict[str, NDArray[Any]]:
    """Give the arrays of one part of a checkpoint, by their names in it."""
    return {name.removeprefix(f"{which} "): value for name, value in state.items() if name.startswith(f"{which} ")}


def _computes_bf16() -> bool:
    """Tell whether this processor computes with short numbers quickly: by AMX, or by AVX-512's words for them.

    Measured: on a processor with these words alone a step of LymphNet takes 0.7 s, and 1.8 s with long numbers.
    """
    import torch

    asks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, ask)() for ask in asks if hasattr(torch.cpu, ask))
