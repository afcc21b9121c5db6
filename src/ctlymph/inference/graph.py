"""The layers in OpenVINO: a network becomes a graph that its compiler fits to the processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from ctlymph.inference.layers import NORM_EPSILON, Architecture, Weights, padding_of


def graph_of(architecture: Architecture, weights: Weights, shapes: Sequence[Sequence[int]]) -> openvino.Model:
    """Make a graph of a network that has learned.

    Args:
        architecture: Of the network.
        weights: What it has learned.
        shapes: Of each input, batch first; a batch of -1 may have any size.

    Raises:
        KeyError: If a layer has no weights.
    """
    import openvino

    inputs = [ops.parameter(list(shape), np.float32) for shape in shapes]
    outputs = architecture.build(_GraphLayers(weights), *inputs)
    return openvino.Model([each.output(0) for each in outputs], inputs, architecture.name)


@dataclass(frozen=True)
class _GraphLayers:
    """:class:`~ctlymph.inference.layers.Layers` whose values are nodes of a graph."""

    weights: Weights

    def conv(
        self, name: str, x: Any, channels: int, size: int = 3, *, stride: int = 1, norm: bool = True, relu: bool = True
    ) -> Any:
        weight = self.weights[f"{name}.weight"]
        dims = weight.ndim - 2
        if norm:  # as one convolution, which is quicker and safer in short numbers
            scale = self.weights[f"{name}.gain"] / np.sqrt(self.weights[f"{name}.variance"] + NORM_EPSILON)
            weight = weight * scale.reshape(-1, *[1] * (dims + 1))
            bias = self.weights[f"{name}.bias"] - self.weights[f"{name}.mean"] * scale
        else:
            bias = self.weights[f"{name}.bias"]
        pad = [padding_of(size, stride)] * dims
        y = ops.convolution(x, _constant(weight), [stride] * dims, pad, pad, [1] * dims)
        y = ops.add(y, _constant(bias.reshape(1, -1, *[1] * dims)))
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


def _constant(values: Any) -> Any:
    return ops.constant(np.ascontiguousarray(values, dtype=np.float32))


def _dims(x: Any) -> int:
    output = x.output(0) if hasattr(x, "output") else x
    return len(output.get_partial_shape()) - 2
