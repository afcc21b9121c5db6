from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.nn.training_loop import CHECKPOINT, LOG, Batch, Schedule, TrainingSpec, fit

torch = pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")

from ctlymph.nn.modules.blocks import ConvBlock, initialise  # noqa: E402


class Spots(torch.nn.Sequential):
    def __init__(self) -> None:
        super().__init__(ConvBlock(1, 8, dims=2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.dropout = torch.nn.Dropout(0.1)
        self.classifier = torch.nn.Linear(8, 1)
        self.apply(initialise)


def _weights(module: Any) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in module.state_dict().items() if "num_batches" not in name}


def _draw(rng: np.random.Generator) -> tuple[Batch, Batch]:
    """Squares with a bright spot, or none."""
    labels = np.repeat([0.0, 1.0], 8)[:, None]
    squares = rng.normal(0, 0.3, (16, 1, 8, 8)).astype(np.float32)
    squares[8:, :, 3:5, 3:5] += 2
    return (squares,), (labels,)


def _loss(outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs[0], targets[0])


SPEC = TrainingSpec("spots", Spots, _draw, _loss, Schedule(60, rate=0.02, checkpoint_every=10), seed=4)


def test_it_classifies_what_it_was_trained_on() -> None:
    module = fit(replace(SPEC, schedule=Schedule(150, rate=0.02, average=0.9)))
    (squares,), (labels,) = _draw(np.random.default_rng(99))
    assert not module.training
    with torch.no_grad():
        odds = module(torch.from_numpy(squares)).numpy()
    assert ((odds > 0) == (labels > 0)).all()


_TOGETHER = """
import sys
import numpy as np
from ctlymph.nn.training_loop import TrainingSpec, Schedule, fit
from ctlymph.nn.distributed import join_world
import torch
from torch import nn

def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)
    )

def one(rng):
    labels = np.repeat([0.0, 1.0], 4)[:, None]
    squares = rng.normal(0, 0.3, (8, 1, 8, 8)).astype(np.float32) + labels[:, :, None, None].astype(np.float32)
    return (squares,), (labels,)

def both(rng):
    pairs = [one(np.random.default_rng([3, both.step, rank])) for rank in (0, 1)]
    both.step += 1
    return tuple(tuple(map(np.concatenate, zip(*part))) for part in zip(*pairs))

both.step = 0
def loss(outputs, targets):
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs[0], targets[0])

alone = sys.argv[1] == "alone"
spec = TrainingSpec("n", network, both if alone else one, loss, Schedule(12), seed=3)
weights = {name: value.numpy() for name, value in fit(spec).state_dict().items()}
np.savez(f"{sys.argv[2]}/{sys.argv[1]}{join_world().rank}.npz", **weights)
"""


def test_processes_train_together_as_one_would_on_all_their_batches(tmp_path: Path) -> None:
    script = tmp_path / "together.py"
    script.write_text(_TOGETHER)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run([sys.executable, script, "alone", tmp_path], check=True, env=environment)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run([*torchrun, script, "world", tmp_path], check=True, env=environment)
    alone, first, second = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("alone0", "world0", "world1"))
    assert alone.keys() == first.keys()
    for name, expected in alone.items():
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], expected, atol=1e-4)


class Killed(BaseException):
    """As if the power had gone."""


def test_a_killed_run_comes_to_the_same_end(tmp_path: Path) -> None:
    straight = _weights(fit(SPEC, tmp_path / "straight"))
    steps = 0

    def until_killed(rng: np.random.Generator) -> tuple[Batch, Batch]:
        nonlocal steps
        steps += 1
        if steps in (7, 31):  # before the first checkpoint, and between two
            raise Killed
        return _draw(rng)

    killed = replace(SPEC, draw=until_killed)
    for _ in range(2):
        with pytest.raises(Killed):
            fit(killed, tmp_path / "killed")
    resumed = _weights(fit(killed, tmp_path / "killed"))
    assert steps < 7 + 24 + 60
    for name, value in straight.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    logs = [(tmp_path / name / LOG).read_text().splitlines() for name in ("straight", "killed")]
    curves = [[line.rpartition(",")[0] for line in log] for log in logs]
    assert curves[0] == curves[1]
    assert len(curves[0]) == 61
    assert list((tmp_path / "straight").glob("events.out.tfevents.*"))


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    first = _weights(fit(SPEC, tmp_path))

    def never(rng: np.random.Generator) -> tuple[Batch, Batch]:
        raise AssertionError

    again = _weights(fit(replace(SPEC, draw=never), tmp_path))
    assert all((again[name] == value).all() for name, value in first.items())


def test_another_seed_leads_to_other_weights() -> None:
    one, other = _weights(fit(SPEC)), _weights(fit(replace(SPEC, seed=5)))
    assert any((one[name] != value).any() for name, value in other.items())


def test_a_loss_that_is_no_number_stops_it() -> None:
    def broken(rng: np.random.Generator) -> tuple[Batch, Batch]:
        (squares,), targets = _draw(rng)
        squares[0] = np.nan
        return (squares,), targets

    with pytest.raises(CtlymphError, match="spots: the loss is nan in step 0; lower the learning rate"):
        fit(replace(SPEC, draw=broken))


def test_full_memory_says_what_to_lower() -> None:
    def full(outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(CtlymphError, match="memory is full; lower the batch"):
        fit(replace(SPEC, loss=full))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 broken"])
def test_a_damaged_checkpoint_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(CtlymphError, match=r"checkpoint\.npz is damaged, .* remove it"):
        fit(SPEC, tmp_path)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"network": Evil()}, tmp_path / CHECKPOINT)
    with pytest.raises(CtlymphError, match="is damaged"):
        fit(SPEC, tmp_path)
    assert not (tmp_path / "owned").exists()


def test_fine_tuning_starts_from_given_weights_and_changes_the_lower_layers_less() -> None:
    begin = _weights(fit(SPEC))
    plain = Schedule(1, rate=0.01, decay=0.0, average=0.0, last_layer="classifier")
    tuned = _weights(fit(replace(SPEC, schedule=plain, start=begin, seed=8)))
    below, above = (
        np.abs(tuned[f"{name}.weight"] - begin[f"{name}.weight"]).max() for name in ("0.conv", "classifier")
    )
    assert 0 < below <= 0.0011 < 0.009 < above


def test_the_rate_rises_and_falls() -> None:
    schedule = Schedule(200, rate=1.0)
    rates = [schedule.rate_at(step) for step in range(200)]
    assert rates[0] == 0.1
    assert max(rates) == rates[9] == 1.0
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] < 1e-3
