from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlymph.core.errors import CtlymphError
from ctlymph.nn.export import ExportedNetwork, export_network, load_weights
from ctlymph.nn.inference import compile_network
from ctlymph.nn.run_context import RunContext
from ctlymph.nn.sliding_window import _slabs, in_slabs
from toy_modules import running_statistics

torch = pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")

from ctlymph.nn.modules.blocks import ConvBlock, same_padding  # noqa: E402
from ctlymph.nn.modules.foveal import FovealNetwork  # noqa: E402
from ctlymph.nn.modules.unet import CentreUNet  # noqa: E402
from ctlymph.nn.modules.view_classifiers import SmallAlexNet, SmallConvNet, SmallResNet  # noqa: E402

IN_F32 = RunContext("cpu", "f32")


class TwoInputs(torch.nn.Module):
    """Layers that the networks of this package do not use: others may."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        nn = torch.nn
        convolution, pool, norm = (
            (nn.Conv2d, nn.AvgPool2d, nn.GroupNorm(2, 4))
            if dims == 2
            else (nn.Conv3d, nn.AvgPool3d, nn.InstanceNorm3d(4, affine=True))
        )
        self.first = nn.Sequential(convolution(2, 4, 3, padding=1), norm, nn.LeakyReLU())
        self.second = nn.Sequential(convolution(1, 4, 1), pool(2), nn.Upsample(scale_factor=2), nn.GELU())

    def forward(self, x: Any, y: Any) -> list[Any]:
        a, b = self.first(x), self.second(y)
        return [a + b, torch.softmax(torch.cat([a, b], dim=1), dim=1)]


MODULES = {
    "U-net": (lambda: CentreUNet(4), [(1, 32, 16, 16)]),
    "foveal": (lambda: FovealNetwork(4), [(1, 8, 16, 16)]),
    "small": (SmallConvNet, [(3, 32, 32)]),
    "AlexNet": (SmallAlexNet, [(3, 64, 64)]),
    "ResNet": (SmallResNet, [(3, 64, 64)]),
    "two inputs in 2D": (lambda: TwoInputs(2), [(2, 16, 16), (1, 16, 16)]),
    "two inputs in 3D": (lambda: TwoInputs(3), [(2, 8, 16, 16), (1, 8, 16, 16)]),
}


@pytest.mark.parametrize("name", MODULES)
def test_an_exported_network_returns_what_the_module_returns(name: str) -> None:
    build, shapes = MODULES[name]
    module, inputs = running_statistics(build(), shapes)
    run = compile_network(export_network(module, inputs), [(-1, *shape) for shape in shapes], build, IN_F32)
    with torch.no_grad():
        expected = module(*map(torch.from_numpy, inputs))
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    for found, target in zip(run(*inputs), expected, strict=True):
        assert found.shape == tuple(target.shape)
        np.testing.assert_allclose(found, target.numpy(), atol=3e-5, rtol=1e-4)
        assert np.std(found) > 0


@pytest.mark.parametrize("name", ["U-net", "foveal", "small", "AlexNet", "ResNet"])
def test_an_exported_network_keeps_the_weights_by_their_names(name: str) -> None:
    build, shapes = MODULES[name]
    module, inputs = running_statistics(build(), shapes)
    weights = export_network(module, inputs).weights()
    expected = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert weights.keys() == expected.keys()
    other = build()
    load_weights(other, weights)
    for key, value in expected.items():
        assert torch.equal(other.state_dict()[key], value)


def test_only_the_outputs_that_are_needed_are_computed() -> None:
    module, inputs = running_statistics(CentreUNet(4), [(1, 16, 16, 16)])
    network = export_network(module, inputs)
    every = compile_network(network, [inputs[0].shape], lambda: CentreUNet(4), IN_F32)(*inputs)
    size, centre = compile_network(network, [inputs[0].shape], lambda: CentreUNet(4), IN_F32, (1, 0))(*inputs)
    assert len(every) == 3
    np.testing.assert_array_equal(centre, every[0])
    np.testing.assert_array_equal(size, every[1])


def test_an_exported_network_is_saved_as_other_tools_read_it(tmp_path: Path) -> None:
    import openvino

    module, inputs = running_statistics(SmallConvNet(), [(3, 32, 32)])
    export_network(module, inputs).save(tmp_path / "small.xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.bin", "small.xml"]
    found = openvino.Core().compile_model(tmp_path / "small.xml", "CPU")(inputs[0])[0]
    with torch.no_grad():
        np.testing.assert_allclose(found, module(torch.from_numpy(inputs[0])), atol=0.05)


def test_a_module_that_cannot_be_exported_says_so() -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.linalg.svdvals(x)

    with pytest.raises(CtlymphError, match="Odd cannot be exported to OpenVINO"):
        export_network(Odd(), [np.eye(4, dtype=np.float32)[None]])


def test_a_part_that_holds_no_network_is_refused() -> None:
    with pytest.raises(CtlymphError, match="holds no network"):
        ExportedNetwork.from_arrays({"weights": np.zeros(3)})
    broken = ExportedNetwork(np.zeros(9, np.uint8), np.zeros(9, np.uint8), np.empty(0, "U1"), np.empty((0, 2)))
    with pytest.raises(CtlymphError, match="network cannot be read"):
        broken.read()


def test_weights_of_another_network_are_refused() -> None:
    weights = {key: value.numpy() for key, value in SmallResNet().state_dict().items()}
    with pytest.raises(CtlymphError, match=r"SmallConvNet: features\.0\.conv\.weight has the shape \(32, 3, 4, 4\)"):
        load_weights(SmallConvNet(), weights)
    del weights["classifier.bias"]
    with pytest.raises(CtlymphError, match=r"hold no classifier\.bias"):
        load_weights(SmallResNet(), weights)
    load_weights(SmallResNet(), weights, except_layer="classifier")


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    module, inputs = running_statistics(SmallConvNet(), [(3, 32, 32)])
    with pytest.raises(CtlymphError, match="no GPU"):
        compile_network(export_network(module, inputs), [inputs[0].shape], SmallConvNet, RunContext("cuda"))


def test_a_device_or_precision_that_is_not_known_is_refused() -> None:
    with pytest.raises(CtlymphError, match="there is no device 'tpu'; choose of auto, cpu, cuda"):
        RunContext("tpu")  # type: ignore[arg-type]
    with pytest.raises(CtlymphError, match="there is no precision 'int4'"):
        RunContext(precision="int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_gradients_in_bf16_are_those_in_float32(side: int, size: int) -> None:
    from ctlymph.nn.low_precision import SafeConvolutions

    stride = 2 if size == 2 else 1
    layer = torch.nn.Conv3d(24, 32, size, stride, same_padding(size, stride))
    x = torch.randn(2, 24, side, side, side, generator=torch.Generator().manual_seed(0))
    gradients: dict[bool, Any] = {}
    for in_bf16 in (False, True):
        for _ in range(20 if in_bf16 else 1):
            left = [torch.full((1 << power,), torch.nan) for power in range(8, 20)]  # memory that kernels find
            del left
            layer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16), SafeConvolutions():
                out = layer(x)
            out.float().square().sum().backward()
            gradients[in_bf16] = layer.weight.grad
            assert torch.isfinite(gradients[in_bf16]).all()
    scale = gradients[False].abs().max()
    assert (gradients[True] - gradients[False]).abs().max() < 0.03 * scale


def test_a_convolution_makes_space_smaller_by_its_stride_only() -> None:
    assert [same_padding(3, 1), same_padding(5, 1), same_padding(2, 2), same_padding(4, 2)] == [1, 2, 0, 1]
    with pytest.raises(ValueError, match="no even padding"):
        same_padding(3, 2)


class TwoSizes(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse, self.more = ConvBlock(1, 2), ConvBlock(2, 3, 2, stride=2, relu=False), ConvBlock(2, 1)

    def forward(self, x: Any) -> tuple[Any, Any]:
        fine = self.fine(x)
        return self.coarse(fine), self.more(fine)


def test_slabs_return_what_the_whole_returns() -> None:
    module, inputs = running_statistics(TwoSizes(), [(1, 8, 8, 8)])
    network = export_network(module, inputs)
    array = np.random.default_rng(1).normal(size=(37, 13, 18)).astype(np.float32)
    shapes = []

    def make(shape: Any) -> Any:
        shapes.append(tuple(shape))
        return compile_network(network, [shape], TwoSizes, IN_F32)

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
