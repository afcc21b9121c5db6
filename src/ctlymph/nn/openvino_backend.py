"""The layers in OpenVINO: a network becomes a graph that its compiler fits to the processor.

Where a layer's weights tell the range of what it is given, it can compute in int8: what it is given in 256 steps over
that range, its filters in 255 steps over their own, each output channel apart. Layers side by side have ranges of
their own, so that the one with small values keeps fine steps; their convolutions are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

from ctlymph.nn.layers import NORM_EPSILON, Architecture, Weights, padding_of


def graph_of(
    architecture: Architecture, weights: Weights, shapes: Sequence[Sequence[int]], *, short: bool = False
) -> openvino.Model:
    """Make a graph of a network that has learned.

    Args:
        architecture: Of the network.
        weights: What it has learned.
        shapes: Of each input, batch first; a batch of -1 may have any size.
        short: Whether layers whose ranges are known compute in int8.

    Raises:
        KeyError: If a layer has no weights.
    """
    inputs = [ops.parameter(list(shape), np.float32) for shape in shapes]
    outputs = architecture.build(_GraphLayers(weights, short), *inputs)
    return openvino.Model([each.output(0) for each in outputs], inputs, architecture.name)


def inner_graph_of(
    architecture: Architecture, weights: Weights, shapes: Sequence[Sequence[int]]
) -> tuple[openvino.Model, list[str]]:
    """Make a graph that gives what the inner layers are given: those that may compute in int8.

    These are convolutions with normalisation; the first, which sees the CT, and those that answer keep their precision.

    Returns:
        The graph, and of each output the layer's name; one whose inputs were joined has several, in their order.
    """
    inputs = [ops.parameter(list(shape), np.float32) for shape in shapes]
    layers = _GraphLayers(weights)
    architecture.build(layers, *inputs)
    given = [(name, part) for name, parts in layers.inner.items() for part in parts]
    return openvino.Model([part for _, part in given], inputs, architecture.name), [name for name, _ in given]


@dataclass(frozen=True)
class _GraphLayers:
    """:class:`~ctlymph.nn.layers.Layers` whose values are nodes of a graph.

    Attributes:
        weights: What the network has learned.
        short: Whether layers whose ranges are known compute in int8.
        inner: What the inner layers are given, by their names.
    """

    weights: Weights
    short: bool = False
    inner: dict[str, list[Any]] = field(default_factory=dict)

    def conv(
        self, name: str, x: Any, channels: int, size: int = 3, *, stride: int = 1, norm: bool = True, relu: bool = True
    ) -> Any:
        weight = self.weights[f"{name}.weight"]
        bias = self.weights[f"{name}.bias"]
        dims = weight.ndim - 2
        parts = _parts(x)
        if norm:  # as one convolution, which is quicker and safer in short numbers
            scale = self.weights[f"{name}.gain"] / np.sqrt(self.weights[f"{name}.variance"] + NORM_EPSILON)
            weight = weight * scale.reshape(-1, *[1] * (dims + 1))
            bias = bias - self.weights[f"{name}.mean"] * scale
            if parts[0].get_node().get_type_name() != "Parameter":
                self.inner[name] = parts
        pad = [padding_of(size, stride)] * dims
        ranges = self.weights.get(f"{name}.range") if self.short else None
        operands = [(x, _constant(weight))] if ranges is None else _in_int8(parts, weight, ranges)
        sums = (ops.convolution(a, b, [stride] * dims, pad, pad, [1] * dims) for a, b in operands)
        y = ops.add(reduce(ops.add, sums), _constant(bias.reshape(1, -1, *[1] * dims)))
        return ops.relu(y) if relu else y

    def up(self, name: str, x: Any, channels: int) -> Any:
        weight = self.weights[f"{name}.weight"]
        dims = weight.ndim - 2
        y = ops.convolution_backprop_data(x, _constant(weight), [2] * dims)
        return ops.add(y, _constant(self.weights[f"{name}.bias"].reshape(1, -1, *[1] * dims)))

    def dense(self, name: str, x: Any, width: int, *, relu: bool = True) -> Any:
        y = ops.matmul(x, _constant(self.weights[f"{name}.weight"]), False, True)
        y = ops.add(y, _constant(self.weights[f"{name}.bias"].reshape(1, -1)))
        return ops.relu(y) if relu else y

    def pool(self, x: Any, size: int = 2) -> Any:
        dims = _dims(x)
        steps, ones, none = [size] * dims, [1] * dims, [0] * dims
        return ops.max_pool(x, steps, ones, none, none, steps).output(0)

    def shrink(self, x: Any, size: int = 2) -> Any:
        dims = _dims(x)
        none = [0] * dims
        return ops.avg_pool(x, [size] * dims, none, none, [size] * dims, True)

    def mean(self, x: Any) -> Any:
        return ops.reduce_mean(x, np.arange(2, 2 + _dims(x)), False)

    def flat(self, x: Any) -> Any:
        return ops.reshape(x, np.array([0, -1]), True)

    def relu(self, x: Any) -> Any:
        return ops.relu(x)

    def plus(self, x: Any, y: Any) -> Any:
        return ops.add(x, y)

    def joined(self, *parts: Any) -> Any:
        return ops.concat(list(parts), 1)

    def dropout(self, x: Any, share: float) -> Any:
        return x


def _parts(x: Any) -> list[Any]:
    """Give the values that were joined, or the one that was not."""
    output = _output(x)
    node = output.get_node()
    return [each.get_source_output() for each in node.inputs()] if node.get_type_name() == "Concat" else [output]


def _in_int8(parts: Sequence[Any], weight: NDArray[np.float32], ranges: NDArray[np.float32]) -> list[tuple[Any, Any]]:
    """Give what each convolution is to read, and its filters, as the compiler knows them for int8."""
    ends = np.cumsum([part.get_partial_shape()[1].get_length() for part in parts])
    filters = np.split(weight, ends[:-1], axis=1)
    return [
        (_in_steps(part, *each.tolist()), _short_filters(some))
        for part, some, each in zip(parts, filters, ranges, strict=True)
    ]


def _in_steps(x: Any, low: float, high: float) -> Any:
    if low < 0:  # signed numbers: as many steps below 0 as above, but for one
        high = max(-low, high)
        low = -high * 128 / 127
    ends = np.float32(low), np.float32(high)
    return ops.fake_quantize(x, *ends, *ends, 256)


def _short_filters(weight: NDArray[np.float32]) -> Any:
    step = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True) / 127
    step = np.where(step > 0, step, 1)
    steps = np.rint(weight / step).astype(np.int8)
    return ops.multiply(ops.convert(ops.constant(steps), np.float32), _constant(step))


def _constant(values: Any) -> Any:
    return ops.constant(np.ascontiguousarray(values, dtype=np.float32))


def _dims(x: Any) -> int:
    return len(_output(x).get_partial_shape()) - 2


def _output(x: Any) -> Any:
    """Give a node's one output; of most layers the node is handed on."""
    return x.output(0) if hasattr(x, "output") else x
