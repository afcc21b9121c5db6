"""The training loop of all networks, in plain PyTorch; a run that was stopped goes on where it was.

Every step draws its examples from a generator of the seed and the step's number, and the learning rate depends on the
number alone: so a checkpoint holds the whole state, and a run that was stopped comes to the same weights.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.extras import check_installed
from ctlymph.core.progress import SILENT, Progress
from ctlymph.io.atomic import new_file
from ctlymph.nn.distributed import World, join_world
from ctlymph.nn.export import Weights, load_weights, outputs_of
from ctlymph.nn.run_context import Device

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim.lr_scheduler import LambdaLR

Batch = tuple[NDArray[Any], ...]
Draw = Callable[[np.random.Generator], tuple[Batch, Batch]]
"""Draws a batch: the network's inputs, and the targets of its outputs."""

_AHEAD = 2
"""Batches that are drawn before they are needed."""

Loss = Callable[[Sequence["Tensor"], Sequence["Tensor"]], "Tensor"]
"""Of outputs and targets, a scalar."""

CHECKPOINT, LOG = "checkpoint.npz", "log.csv"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network is trained.

    Attributes:
        steps: Batches.
        rate: Highest learning rate; it rises over the first twentieth of the steps and falls along a cosine to zero.
        decay: Of the weights (Loshchilov and Hutter, ICLR 2019).
        checkpoint_every: Steps between checkpoints.
        average: Decay of the exponential moving average of the weights, which is the result; shorter in the first
            steps.
        last_layer: Of a network that starts from the weights of another: this layer starts anew, at the full rate.
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
        """Return the learning rate of a step, 0…steps - 1."""
        return self.rate * self.factor_at(step)

    def factor_at(self, step: int) -> float:
        """Return the learning rate of a step as a share of the highest."""
        rising = max(self.steps // 20, 1)
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(self.steps - rising, 1)))


@dataclass(frozen=True, eq=False)
class TrainingSpec:
    """What a network is trained on, and how.

    Attributes:
        name: Of the network, for messages.
        build: Makes the module with random weights.
        draw: Draws batches.
        loss: Of outputs and targets, a scalar.
        schedule: How long and how fast.
        seed: For weights and batches.
        start: Weights of such a module to start from, but for the schedule's last layer.
        device: Where it is trained: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.
    """

    name: str
    build: Callable[[], nn.Module]
    draw: Draw
    loss: Loss
    schedule: Schedule
    seed: int
    start: Weights | None = None
    device: Device = "auto"


def fit(spec: TrainingSpec, folder: Path | None = None, progress: Progress = SILENT) -> nn.Module:
    """Train a network.

    Args:
        spec: On what, and how.
        folder: For checkpoint and log; where it has a checkpoint, training goes on from there. None: nothing is kept.
        progress: Where to show the advance.

    Returns:
        The module with the moving average of its weights, on the CPU, in evaluation mode.

    Raises:
        CtlymphError: If the loss becomes infinite or not a number, memory runs out, PyTorch is missing, or the
            checkpoint cannot be read.
    """
    check_installed("torch", purpose="training a network")
    world = join_world(spec.device)
    trainer = _Trainer(spec, world)
    begin = trainer.resume(folder) if folder else 0
    steps = spec.schedule.steps
    writes = folder if world.rank == 0 else None
    with progress.task(f"training {spec.name}", steps) as advance, _tensorboard(writes, begin) as write_loss:
        advance(begin)
        start = time.perf_counter()
        for step, (inputs, targets) in _batches(spec, begin, world):
            loss = trainer.step(step, inputs, targets)
            write_loss(step, loss)
            start, before = time.perf_counter(), start
            trainer.log.append((step, loss, spec.schedule.rate_at(step), start - before))
            if (step + 1) % spec.schedule.checkpoint_every == 0 or step + 1 == steps:
                trainer.share_statistics()
                if writes:
                    trainer.save(writes, step + 1)
            advance(1)
    return trainer.result()


def built(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a new module; the same seed gives the same weights, and PyTorch's own generator is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _batches(spec: TrainingSpec, begin: int, world: World) -> Iterator[tuple[int, tuple[Batch, Batch]]]:
    """Yield the batches of all steps from one on, each drawn while the network is trained on the one before."""

    def draw(step: int) -> tuple[Batch, Batch]:
        own = [world.rank] * (world.size > 1)
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
    """Yield what writes the loss of a step for TensorBoard; it writes nothing where nothing is kept."""
    if folder is None:
        yield lambda step, loss: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=begin) as writer:
        yield lambda step, loss: writer.add_scalar("loss", loss, step)


class _Trainer:
    """A network in training: all that a checkpoint holds."""

    def __init__(self, spec: TrainingSpec, world: World) -> None:
        import torch
        from torch.optim.lr_scheduler import LambdaLR
        from torch.optim.swa_utils import AveragedModel

        from ctlymph.nn.low_precision import trains_in_bf16

        self.spec, self.world = spec, world
        schedule = spec.schedule
        self.module = built(spec.build, spec.seed)
        last = schedule.last_layer if spec.start is not None else ""
        if spec.start is not None:
            load_weights(self.module, spec.start, except_layer=last)
        for value in self.module.to(world.device).parameters():
            value.data = _channels_last(value.data)
        self.module.train()
        self.mean = AveragedModel(self.module, avg_fn=self._moving_average, use_buffers=True)
        self.parallel = world.parallel(self.module)
        self.optimizer = torch.optim.AdamW(_groups(self.module, schedule, last), weight_decay=schedule.decay)
        self.scheduler: LambdaLR = LambdaLR(self.optimizer, schedule.factor_at)
        self.device = world.device.split(":")[0]
        self.in_bf16 = trains_in_bf16(self.device)
        self.log: list[tuple[int, float, float, float]] = []

    def _moving_average(self, mean: Tensor, value: Tensor, step: Tensor | int) -> Tensor:
        decay = min(self.spec.schedule.average, (int(step) + 1) / (int(step) + 10))
        return mean + (value - mean) * (1 - decay)

    def step(self, number: int, inputs: Batch, targets: Batch) -> float:
        """Train on the batch of a step.

        Returns:
            The loss.
        """
        import torch

        from ctlymph.nn.low_precision import SafeConvolutions

        torch.manual_seed(self.spec.seed * 1_000_003 + number)  # of dropout
        self.optimizer.zero_grad(set_to_none=True)
        try:
            with torch.autocast(self.device, torch.bfloat16, enabled=self.in_bf16), SafeConvolutions():
                outputs = outputs_of(self.parallel(*self._placed(inputs)))
            loss = self.spec.loss([each.float() for each in outputs], self._placed(targets))
            loss.backward()
        except torch.OutOfMemoryError as error:
            raise CtlymphError(
                f"{self.spec.name}: the GPU's memory is full; lower the batch or the size of its patches"
            ) from error
        value = loss.detach().clone()
        self.world.average([value])  # the same in all processes: where one has no number, all stop
        self._refuse_infinite("loss", float(value), number)
        gradient = torch.nn.utils.clip_grad_norm_(self.module.parameters(), 10.0)
        self._refuse_infinite("gradient of the loss", float(gradient), number)
        self.optimizer.step()
        self.scheduler.step()
        self.mean.update_parameters(self.module)
        return float(value)

    def _refuse_infinite(self, quantity: str, value: float, step: int) -> None:
        if not math.isfinite(value):
            raise CtlymphError(
                f"{self.spec.name}: the {quantity} is {value} in step {step}; lower the learning rate "
                f"({self.spec.schedule.rate:g}), or look for broken CTs"
            )

    def result(self) -> nn.Module:
        """Return the module with averaged weights."""
        module: nn.Module = self.mean.module
        return module.cpu().eval()

    def share_statistics(self) -> None:
        """Average running means and variances over all processes; the rest is the same already."""
        for module in (self.module, self.mean.module):
            self.world.average(each for each in module.buffers() if each.is_floating_point())

    def save(self, folder: Path, steps: int) -> None:
        """Write a checkpoint and the log."""
        moments = {
            f"optimizer {number} {kind}": value.numpy(force=True)
            for number, each in self.optimizer.state_dict()["state"].items()
            for kind, value in each.items()
        }
        weights = {
            f"{which} {name}": value.numpy(force=True)
            for which, module in (("network", self.module), ("mean", self.mean.module))
            for name, value in module.state_dict().items()
        }
        with new_file(folder / CHECKPOINT, overwrite=True) as staging:
            np.savez(staging, steps=steps, log=np.array(self.log), **weights, **moments)
        with new_file(folder / LOG, overwrite=True) as staging, staging.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("step", "loss", "rate", "seconds"))
            writer.writerows((step, f"{loss:.6g}", f"{rate:.6g}", f"{took:.4f}") for step, loss, rate, took in self.log)

    def resume(self, folder: Path) -> int:
        """Load a checkpoint, where there is one.

        Returns:
            The number of steps that were made.
        """
        import torch

        path = folder / CHECKPOINT
        if not path.exists():
            return 0
        try:
            with np.load(path, allow_pickle=False) as file:
                state = dict(file)
            steps = int(state["steps"])
            self.log = [(int(step), *rest) for step, *rest in state["log"].tolist()]
            load_weights(self.module, _named(state, "network"))
            load_weights(self.mean.module, _named(state, "mean"))
            moments: dict[int, dict[str, Tensor]] = {}
            for name, value in _named(state, "optimizer").items():
                number, kind = name.split()
                moments.setdefault(int(number), {})[kind] = torch.from_numpy(value)
            self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        except (OSError, BadZipFile, CtlymphError, RuntimeError, KeyError, ValueError, EOFError) as error:
            raise CtlymphError(f"{path} is damaged, or of another network; remove it to train anew") from error
        self.mean.n_averaged.fill_(steps)
        self.scheduler.last_epoch = steps
        for group, base in zip(self.optimizer.param_groups, self.scheduler.base_lrs, strict=True):
            group["lr"] = base * self.spec.schedule.factor_at(steps)
        return steps

    def _placed(self, batch: Batch) -> list[Tensor]:
        import torch

        given = (torch.from_numpy(np.ascontiguousarray(each)) for each in batch)
        return [_channels_last(each.to(self.world.device, torch.float32)) for each in given]


def _channels_last(tensor: Tensor) -> Tensor:
    """Lay images, volumes or filters out with their channels side by side, which computes faster."""
    import torch

    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.ndim)
    return tensor if layout is None else tensor.contiguous(memory_format=layout)


def _groups(module: nn.Module, schedule: Schedule, last: str) -> list[dict[str, Any]]:
    """Return the parameters at the full rate and, where there is a last layer, those below it at a share of it."""
    named = list(module.named_parameters())
    full = [value for name, value in named if not last or name.startswith(f"{last}.")]
    slow = [value for name, value in named if last and not name.startswith(f"{last}.")]
    groups = [(full, schedule.rate), (slow, schedule.rate * schedule.rate_below)]
    return [{"params": parameters, "lr": rate} for parameters, rate in groups if parameters]


def _named(state: Mapping[str, NDArray[Any]], which: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one part of a checkpoint, by their names in it."""
    return {name.removeprefix(f"{which} "): value for name, value in state.items() if name.startswith(f"{which} ")}
