from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ctlymph.nn.inference import ready
from ctlymph.nn.layers import Architecture, Layers
from ctlymph.nn.openvino_backend import graph_of
from ctlymph.nn.quantization import with_ranges

torch = pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")


def _build(layers: Layers, x: Any) -> list[Any]:
    fine = layers.conv("fine", x, 8)
    coarse = layers.conv("coarse", layers.pool(fine), 8, 2, stride=2)
    both = layers.conv("both", layers.joined(layers.up("finer", layers.up("up", coarse, 8), 8), fine), 8)
    return [layers.conv("answer", both, 1, norm=False, relu=False)]


def _network(space: tuple[int, ...]) -> tuple[Architecture, dict[str, Any], list[tuple[np.ndarray]]]:
    """Give a network whose running statistics are those of its examples."""
    from ctlymph.nn.torch_backend import TorchNetwork

    architecture = Architecture("joins", _build, ((1, *space),))
    network = TorchNetwork(architecture, seed=1)
    rng = np.random.default_rng(0)
    examples = [(rng.normal(size=(4, 1, *space)).astype(np.float32),) for _ in range(3)]
    for _ in range(30):
        for (each,) in examples:
            network(torch.from_numpy(each))
    return architecture, network.weights(), examples


def _short_layers(architecture: Architecture, weights: dict[str, Any], *, short: bool) -> int:
    graph = graph_of(architecture, weights, [(1, 1, 16, 16)], short=short)
    return sum(each.get_type_name() == "FakeQuantize" for each in graph.get_ops())


@pytest.mark.parametrize("space", [(16, 16), (8, 16, 16)])
def test_int8_is_near_to_float32(space: tuple[int, ...]) -> None:
    architecture, weights, examples = _network(space)
    ranged = with_ranges(architecture, weights, examples)
    shape = [(-1, 1, *space)]
    (exact,) = ready(architecture, ranged, shape, device="cpu", precision="f32")(*examples[0])
    (short,) = ready(architecture, ranged, shape, device="cpu")(*examples[0])
    (without,) = ready(architecture, weights, shape, device="cpu", precision="f32")(*examples[0])
    np.testing.assert_array_equal(exact, without)
    off = np.abs(short - exact)
    assert 0 < off.mean() < 0.03 * exact.std()


def test_only_inner_layers_with_ranges_are_short() -> None:
    architecture, weights, examples = _network((16, 16))
    ranged = with_ranges(architecture, weights, examples)
    assert {name for name in ranged if name.endswith(".range")} == {"coarse.range", "both.range"}
    assert (ranged["coarse.range"].shape, ranged["both.range"].shape) == ((1, 2), (2, 2))
    assert _short_layers(architecture, ranged, short=True) == 3
    assert _short_layers(architecture, ranged, short=False) == _short_layers(architecture, weights, short=True) == 0


def test_a_range_holds_all_but_the_rarest_values() -> None:
    architecture, weights, examples = _network((16, 16))
    ranged = with_ranges(architecture, weights, examples)
    low, high = ranged["coarse.range"][0]
    assert low == 0  # behind a cut-off
    assert ranged["both.range"][0, 0] < 0  # behind none
    (first,) = examples[0]
    spot = first.copy()
    spot[0, 0, 8, 8] = 1000
    assert with_ranges(architecture, weights, [(spot,)])["coarse.range"][0, 1] > 10 * high
    rare = np.concatenate([spot, *[first] * 200])
    assert with_ranges(architecture, weights, [(rare,)])["coarse.range"][0, 1] == pytest.approx(high, rel=0.3)


def test_a_layer_that_is_given_nothing_has_a_range() -> None:
    architecture, weights, examples = _network((16, 16))
    silent = {**weights, "fine.gain": np.zeros(8, np.float32), "fine.bias": np.zeros(8, np.float32)}
    ranged = with_ranges(architecture, silent, examples)
    assert ranged["coarse.range"][0, 1] > 0
    (found,) = ready(architecture, ranged, [(-1, 1, 16, 16)], device="cpu")(*examples[0])
    assert np.isfinite(found).all()


def test_a_network_without_inner_layers_stays_as_it_is() -> None:
    def build(layers: Layers, x: Any) -> list[Any]:
        return [layers.conv("answer", layers.conv("first", x, 4), 1, norm=False)]

    from ctlymph.nn.torch_backend import TorchNetwork

    architecture = Architecture("shallow", build, ((1, 8, 8),))
    weights = TorchNetwork(architecture).weights()
    assert with_ranges(architecture, weights, [(np.zeros((2, 1, 8, 8), np.float32),)]).keys() == weights.keys()
