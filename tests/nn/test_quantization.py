from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ctlymph.nn.export import ExportedNetwork, export_network
from ctlymph.nn.inference import compile_network
from ctlymph.nn.quantization import compute_in_int8, with_activation_ranges
from ctlymph.nn.run_context import RunContext

torch = pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")

from ctlymph.nn.modules.blocks import ConvBlock  # noqa: E402

Examples = list[tuple[np.ndarray]]


class Joins(torch.nn.Module):
    """A convolution that reads joined arrays, one of them signed."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        nn = torch.nn
        up, pool, plain = (
            (nn.ConvTranspose2d, nn.MaxPool2d, nn.Conv2d)
            if dims == 2
            else (nn.ConvTranspose3d, nn.MaxPool3d, nn.Conv3d)
        )
        self.fine = ConvBlock(1, 8, dims=dims)
        self.coarse = nn.Sequential(pool(2), ConvBlock(8, 8, 2, stride=2, dims=dims))
        self.up = nn.Sequential(up(8, 8, 2, stride=2), up(8, 8, 2, stride=2))
        self.both = ConvBlock(16, 8, dims=dims)
        self.mask = plain(8, 1, 3, padding=1)

    def forward(self, x: Any) -> Any:
        fine = self.fine(x)
        return self.mask(self.both(torch.cat([self.up(self.coarse(fine)), fine], dim=1)))


def _network(space: tuple[int, ...], *, silent: bool = False) -> tuple[ExportedNetwork, Examples]:
    """Return a network whose running statistics are those of its examples."""
    torch.manual_seed(1)
    module = Joins(len(space))
    rng = np.random.default_rng(0)
    examples = [(rng.normal(size=(4, 1, *space)).astype(np.float32),) for _ in range(3)]
    with torch.no_grad():
        for _ in range(30):
            for (each,) in examples:
                module(torch.from_numpy(each))
        if silent:
            module.fine.norm.weight.zero_()
            module.fine.norm.bias.zero_()
    return export_network(module, examples[0]), examples


def _run(network: ExportedNetwork, examples: Examples, run: RunContext | None = None) -> np.ndarray:
    given = examples[0][0]
    (found,) = compile_network(network, [(-1, *given.shape[1:])], lambda: Joins(given.ndim - 2), run)(given)
    return found


def _ranges(network: ExportedNetwork) -> dict[str, np.ndarray]:
    layers = [str(name).removeprefix("__module.").partition("/")[0] for name in network.layers]
    return {name: network.activation_ranges[[each == name for each in layers]] for name in dict.fromkeys(layers)}


def _int8_inputs(network: ExportedNetwork) -> int:
    model = network.read()
    compute_in_int8(model, network)
    return sum(each.get_type_name() == "FakeQuantize" for each in model.get_ops())


@pytest.mark.parametrize("space", [(16, 16), (8, 16, 16)])
def test_int8_is_near_to_float32(space: tuple[int, ...]) -> None:
    network, examples = _network(space)
    ranged = with_activation_ranges(network, examples)
    exact = _run(ranged, examples, RunContext("cpu", "f32"))
    np.testing.assert_array_equal(exact, _run(network, examples, RunContext("cpu", "f32")))
    off = np.abs(_run(ranged, examples, RunContext("cpu")) - exact)
    assert 0 < off.mean() < 0.03 * exact.std()
    off_in_bf16 = np.abs(_run(ranged, examples, RunContext("cpu", "bf16")) - exact)
    assert off_in_bf16.mean() < off.mean()


def test_only_inner_convolutions_with_ranges_compute_in_int8() -> None:
    network, examples = _network((16, 16))
    ranged = with_activation_ranges(network, examples)
    ranges = _ranges(ranged)
    assert {name: len(each) for name, each in ranges.items()} == {"coarse.1.conv": 1, "both.conv": 2}
    assert _int8_inputs(ranged) == 3
    assert _int8_inputs(network) == 0


def test_a_range_holds_all_but_the_rarest_values() -> None:
    network, examples = _network((16, 16))
    ranges = _ranges(with_activation_ranges(network, examples))
    low, high = ranges["coarse.1.conv"][0]
    assert low == 0  # behind a ReLU
    assert ranges["both.conv"][0, 0] < 0  # behind none
    (first,) = examples[0]
    spot = first.copy()
    spot[0, 0, 8, 8] = 1000
    assert _ranges(with_activation_ranges(network, [(spot,)]))["coarse.1.conv"][0, 1] > 10 * high
    rare = np.concatenate([spot, *[first] * 200])
    found = _ranges(with_activation_ranges(network, [(rare,)]))["coarse.1.conv"][0, 1]
    assert found == pytest.approx(high, rel=0.3)


def test_a_layer_that_reads_only_zeros_has_a_range() -> None:
    network, examples = _network((16, 16), silent=True)
    ranged = with_activation_ranges(network, examples)
    assert _ranges(ranged)["coarse.1.conv"][0, 1] > 0
    assert np.isfinite(_run(ranged, examples, RunContext("cpu"))).all()


def test_a_network_without_inner_convolutions_stays_as_it_is() -> None:
    module = torch.nn.Sequential(ConvBlock(1, 4, dims=2), torch.nn.Conv2d(4, 1, 3))
    example = np.zeros((2, 1, 8, 8), np.float32)
    network = export_network(module, [example])
    assert with_activation_ranges(network, [(example,)]) is network


def test_ranges_survive_being_stored() -> None:
    network, examples = _network((16, 16))
    ranged = with_activation_ranges(network, examples)
    again = ExportedNetwork.from_arrays(ranged.arrays())
    np.testing.assert_array_equal(_run(again, examples), _run(ranged, examples))
    assert replace(again).weights().keys() == network.weights().keys()
