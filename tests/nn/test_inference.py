from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlymph.core.errors import CtlymphError
from ctlymph.nn.inference import ready
from ctlymph.nn.layers import Architecture, Layers, padding_of
from ctlymph.nn.sliding_window import _slabs, in_slabs
from ctlymph.nn.torch_backend import TorchNetwork

torch = pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")


def _every_layer(layers: Layers, x: Any, y: Any) -> list[Any]:
    a = layers.conv("first", x, 4, 4, stride=2)
    b = layers.conv("second", layers.pool(a), 6, 5)
    c = layers.up("finer", b, 4)
    d = layers.relu(layers.plus(layers.conv("third", c, 4, norm=False, relu=False), a))
    e = layers.joined(d, layers.conv("beside", layers.shrink(y), 3))
    wide = layers.dense("wide", layers.dropout(layers.mean(e), 0.5), 8)
    row = layers.dense("row", layers.flat(layers.pool(e, 4)), 3, relu=False)
    return [e, layers.dense("answer", wide, 2, relu=False), row]


def _trained(architecture: Architecture, batch: int = 5) -> tuple[TorchNetwork, list[np.ndarray]]:
    """Give a network whose running statistics are not those of the start, and inputs for it."""
    network = TorchNetwork(architecture, seed=3)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(1, 2, (batch, *shape)).astype(np.float32) for shape in architecture.inputs]
    network.train()
    for _ in range(3):
        network(*map(torch.from_numpy, inputs))
    return network.eval(), inputs


@pytest.mark.parametrize("space", [(16, 16), (8, 16, 16)])
def test_both_engines_give_the_same(space: tuple[int, ...]) -> None:
    architecture = Architecture("every layer", _every_layer, ((2, *space), (1, *space)))
    network, inputs = _trained(architecture)
    run = ready(
        architecture, network.weights(), [(-1, *shape) for shape in architecture.inputs], device="cpu", precision="f32"
    )
    with torch.no_grad():
        expected = network(*map(torch.from_numpy, inputs))
    for found, wanted in zip(run(*inputs), expected, strict=True):
        assert found.shape == tuple(wanted.shape)
        np.testing.assert_allclose(found, wanted.numpy(), atol=2e-5)
        assert np.std(found) > 0


def test_the_same_seed_gives_the_same_network_and_weights_come_back() -> None:
    architecture = Architecture("every layer", _every_layer, ((2, 16, 16), (1, 16, 16)))
    one, other, again = TorchNetwork(architecture, 1), TorchNetwork(architecture, 2), TorchNetwork(architecture, 1)
    assert all((value == again.weights()[name]).all() for name, value in one.weights().items())
    assert any((value != other.weights()[name]).any() for name, value in one.weights().items())
    other.load(one.weights(), leave=["answer"])
    for name, value in one.weights().items():
        same = (value == other.weights()[name]).all()
        assert same != (name == "answer.weight")


def test_weights_of_another_network_are_refused() -> None:
    def wider(layers: Layers, x: Any, y: Any) -> list[Any]:
        return [layers.conv("first", x, 5, 4, stride=2)]

    architecture = Architecture("every layer", _every_layer, ((2, 16, 16), (1, 16, 16)))
    given = TorchNetwork(architecture).weights()
    other = TorchNetwork(Architecture("wider", wider, architecture.inputs))
    with pytest.raises(CtlymphError, match=r"wider: first\.weight has the shape"):
        other.load(given)
    with pytest.raises(CtlymphError, match=r"hold no answer\.weight"):
        TorchNetwork(architecture).load({name: value for name, value in given.items() if name != "answer.weight"})


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    architecture = Architecture("every layer", _every_layer, ((2, 16, 16), (1, 16, 16)))
    with pytest.raises(CtlymphError, match="no GPU"):
        ready(architecture, {}, [], device="cuda")


@pytest.mark.parametrize("side", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_gradients_in_short_numbers_are_those_in_long_ones(side: int, size: int) -> None:
    def build(layers: Layers, x: Any) -> list[Any]:
        return [layers.conv("only", x, 32, size, stride=2 if size == 2 else 1, norm=False, relu=False)]

    network = TorchNetwork(Architecture("one layer", build, ((24, side, side, side),)))
    x = torch.randn(2, 24, side, side, side, generator=torch.Generator().manual_seed(0))
    gradients: dict[bool, Any] = {}
    for short in (False, True):
        for _ in range(20 if short else 1):
            left = [torch.full((1 << power,), torch.nan) for power in range(8, 20)]  # memory that kernels find
            del left
            network.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=short):
                (out,) = network(x)
            out.float().square().sum().backward()
            gradients[short] = network.value("only.weight").grad
            assert torch.isfinite(gradients[short]).all()
    scale = gradients[False].abs().max()
    assert (gradients[True] - gradients[False]).abs().max() < 0.03 * scale


def test_two_layers_of_one_name_are_refused() -> None:
    def twice(layers: Layers, x: Any) -> list[Any]:
        return [layers.conv("same", layers.conv("same", x, 2), 2)]

    with pytest.raises(ValueError, match="two layers are named 'same'"):
        TorchNetwork(Architecture("twice", twice, ((1, 8, 8),)))


def test_a_convolution_shrinks_by_its_stride_alone() -> None:
    assert [padding_of(3, 1), padding_of(5, 1), padding_of(2, 2), padding_of(4, 2)] == [1, 2, 0, 1]
    with pytest.raises(ValueError, match="no even padding"):
        padding_of(3, 2)


def _two_sizes(layers: Layers, x: Any) -> list[Any]:
    fine = layers.conv("fine", x, 2)
    return [layers.conv("coarse", fine, 3, 2, stride=2, relu=False), layers.conv("more", fine, 1)]


def test_slabs_give_what_the_whole_gives() -> None:
    architecture = Architecture("two sizes", _two_sizes, ((1, 8, 8, 8),))
    network, _ = _trained(architecture, 1)
    array = np.random.default_rng(1).normal(size=(37, 13, 18)).astype(np.float32)
    shapes = []

    def make(shape: Any) -> Any:
        shapes.append(tuple(shape))
        return ready(architecture, network.weights(), [shape], device="cpu", precision="f32")

    def slid(slices: int) -> list[np.ndarray]:
        return in_slabs(make, array, slices=slices, overlap=4, multiple=4, fill=0.0)

    whole, parts = slid(64), slid(16)
    assert [each.shape for each in parts] == [(3, 19, 7, 9), (1, 37, 13, 18)]
    assert shapes == [(1, 1, 40, 16, 20), (1, 1, 16, 16, 20)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    with pytest.raises(ValueError, match="multiples of 4"):
        slid(14)
    with pytest.raises(ValueError, match="leave nothing of a slab"):
        slid(8)


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 5))
def test_slabs_cover_all_slices_and_rely_on_no_end_beside_a_neighbour(depth: int, wide: int, overlap: int) -> None:
    length = min(wide + 2 * overlap, depth)
    starts, edges = _slabs(16 * depth, 16 * length, 16 * overlap)
    assert edges[0] == 0
    assert edges[-1] == 16 * depth
    assert len(edges) == len(starts) + 1
    for number, start in enumerate(starts):
        assert 0 <= start <= 16 * (depth - length)
        assert start % 16 == 0
        assert edges[number] % 8 == 0
        assert start + 16 * overlap * (number > 0) <= edges[number] < edges[number + 1]
        assert edges[number + 1] <= start + 16 * length - 16 * overlap * (number < len(starts) - 1)
