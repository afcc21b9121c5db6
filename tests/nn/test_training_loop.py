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
from ctlymph.nn.inference import ready
from ctlymph.nn.layers import Architecture, Layers
from ctlymph.nn.training_loop import CHECKPOINT, LOG, Batch, Schedule, TrainingSpec, fit

torch = pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")


def _network(layers: Layers, x: Any) -> list[Any]:
    x = layers.conv("first", x, 8)
    return [layers.dense("answer", layers.dropout(layers.mean(x), 0.1), 1, relu=False)]


def _draw(rng: np.random.Generator) -> tuple[Batch, Batch]:
    """Squares with a bright spot, or none."""
    labels = np.repeat([0.0, 1.0], 8)[:, None]
    squares = rng.normal(0, 0.3, (16, 1, 8, 8)).astype(np.float32)
    squares[8:, :, 3:5, 3:5] += 2
    return (squares,), (labels,)


def _loss(outputs: Sequence[Any], wanted: Sequence[Any]) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs[0], wanted[0])


LESSON = TrainingSpec(
    Architecture("spots", _network, ((1, 8, 8),)), _draw, _loss, Schedule(60, rate=0.02, checkpoint_every=10), seed=4
)


def test_it_learns_what_it_is_shown() -> None:
    weights = fit(replace(LESSON, schedule=Schedule(150, rate=0.02, average=0.9)))
    (squares,), (labels,) = _draw(np.random.default_rng(99))
    (odds,) = ready(LESSON.architecture, weights, [(-1, 1, 8, 8)])(squares)
    assert ((odds > 0) == (labels > 0)).all()


_TOGETHER = """
import sys
import numpy as np
from ctlymph.nn.layers import Architecture
from ctlymph.nn.training_loop import TrainingSpec, Schedule, fit
from ctlymph.nn.distributed import own_rank
import torch

def network(layers, x):
    return [layers.dense("answer", layers.mean(layers.conv("first", x, 4, norm=False)), 1, relu=False)]

def one(rng):
    labels = np.repeat([0.0, 1.0], 4)[:, None]
    squares = rng.normal(0, 0.3, (8, 1, 8, 8)).astype(np.float32) + labels[:, :, None, None].astype(np.float32)
    return (squares,), (labels,)

def both(rng):
    pairs = [one(np.random.default_rng([3, both.step, rank])) for rank in (0, 1)]
    both.step += 1
    return tuple(tuple(map(np.concatenate, zip(*part))) for part in zip(*pairs))

both.step = 0
def loss(outputs, wanted):
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs[0], wanted[0])

alone = sys.argv[1] == "alone"
spec = TrainingSpec(Architecture("n", network, ((1, 8, 8),)), both if alone else one, loss, Schedule(12), seed=3)
np.savez(f"{sys.argv[2]}/{sys.argv[1]}{own_rank().number}.npz", **fit(spec))
"""


def test_processes_learn_together_as_one_would_from_all_their_batches(tmp_path: Path) -> None:
    script = tmp_path / "together.py"
    script.write_text(_TOGETHER)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run([sys.executable, script, "alone", tmp_path], check=True, env=environment)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run([*torchrun, script, "ranks", tmp_path], check=True, env=environment)
    alone, first, second = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("alone0", "ranks0", "ranks1"))
    assert alone.keys() == first.keys()
    for name, expected in alone.items():
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], expected, atol=1e-4)


class Killed(BaseException):
    """As if the power had gone."""


def test_a_killed_run_comes_to_the_same_end(tmp_path: Path) -> None:
    straight = fit(LESSON, tmp_path / "straight")
    steps = 0

    def until_killed(rng: np.random.Generator) -> tuple[Batch, Batch]:
        nonlocal steps
        steps += 1
        if steps in (7, 31):  # before the first checkpoint, and between two
            raise Killed
        return _draw(rng)

    killed = replace(LESSON, draw=until_killed)
    for _ in range(2):
        with pytest.raises(Killed):
            fit(killed, tmp_path / "killed")
    resumed = fit(killed, tmp_path / "killed")
    assert steps < 7 + 24 + 60
    for name, value in straight.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    logs = [(tmp_path / name / LOG).read_text().splitlines() for name in ("straight", "killed")]
    curves = [[line.rpartition(",")[0] for line in log] for log in logs]
    assert curves[0] == curves[1]
    assert len(curves[0]) == 61
    assert list((tmp_path / "straight").glob("events.out.tfevents.*"))


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    first = fit(LESSON, tmp_path)

    def never(rng: np.random.Generator) -> tuple[Batch, Batch]:
        raise AssertionError

    again = fit(replace(LESSON, draw=never), tmp_path)
    assert all((again[name] == value).all() for name, value in first.items())


def test_another_seed_learns_otherwise() -> None:
    one, other = fit(LESSON), fit(replace(LESSON, seed=5))
    assert any((one[name] != value).any() for name, value in other.items())


def test_a_loss_that_is_no_number_stops_it() -> None:
    def broken(rng: np.random.Generator) -> tuple[Batch, Batch]:
        (squares,), wanted = _draw(rng)
        squares[0] = np.nan
        return (squares,), wanted

    with pytest.raises(CtlymphError, match="spots: the loss is nan in step 0; lower the rate"):
        fit(replace(LESSON, draw=broken))


def test_full_memory_says_what_to_lower() -> None:
    def full(outputs: Sequence[Any], wanted: Sequence[Any]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(CtlymphError, match="memory is full; lower the batch"):
        fit(replace(LESSON, loss=full))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 broken"])
def test_a_damaged_checkpoint_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(CtlymphError, match=r"checkpoint\.npz is damaged, .* remove it"):
        fit(LESSON, tmp_path)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"network": Evil()}, tmp_path / CHECKPOINT)
    with pytest.raises(CtlymphError, match="is damaged"):
        fit(LESSON, tmp_path)
    assert not (tmp_path / "owned").exists()


def test_fine_tuning_begins_with_given_weights_and_changes_the_lower_layers_less() -> None:
    begin = fit(LESSON)
    plain = Schedule(1, rate=0.01, decay=0.0, average=0.0, last_layer="answer")
    configured = fit(replace(LESSON, schedule=plain, begin_with=begin, seed=8))
    below, above = (
        np.abs(configured[f"{name}.weight"] - begin[f"{name}.weight"]).max() for name in ("first", "answer")
    )
    assert 0 < below <= 0.0011 < 0.009 < above


def test_the_rate_rises_and_falls() -> None:
    schedule = Schedule(200, rate=1.0)
    rates = [schedule.rate_at(step) for step in range(200)]
    assert rates[0] == 0.1
    assert max(rates) == rates[9] == 1.0
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] < 1e-3
