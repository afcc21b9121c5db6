"""Convolutions of an exported network in int8: the activation ranges that this needs, and the graph that does it.

Weights are cut into 255 steps over their own range, each output channel apart; what a convolution reads is cut into 256
steps over the range that it had in examples. Joined arrays have ranges of their own, so that the one with small values
keeps fine steps: their convolutions are separate, and added. OpenVINO's compiler recognises these operations
(``FakeQuantize``) and computes them in int8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.nn.export import ExportedNetwork
from ctlymph.nn.openvino_runtime import request_for

_BEYOND = 1e-4
"""Share of the values in an example that may lie beyond each end of a range: few large ones would make the steps coarse
for all."""
_NARROWEST = 1e-6
"""A layer that reads nothing but 0 has a range, too."""


def with_activation_ranges(
    network: ExportedNetwork, examples: Iterable[Sequence[NDArray[np.float32]]]
) -> ExportedNetwork:
    """Run a network on examples in float32, and note the ranges of what its inner convolutions read.

    Args:
        network: As exported.
        examples: Batches of its inputs, all of one shape.

    Returns:
        The network with ranges: of each array the lowest value, 0 or less, and the highest.
    """
    import openvino

    batches = [list(example) for example in examples]
    model = network.read()
    read = [(node.friendly_name, part) for node in inner_convolutions(model) for part in _parts(node.input_value(0))]
    if not read:
        return network
    observed = openvino.Model([part for _, part in read], model.get_parameters(), "activations")
    observed.reshape(dict(enumerate(openvino.PartialShape(list(each.shape)) for each in batches[0])))
    request = request_for(observed, "f32")
    ends = np.array(
        [[np.quantile(each, (_BEYOND, 1 - _BEYOND)) for each in request.infer(batch).values()] for batch in batches]
    )
    lows, highs = np.minimum(ends[..., 0].min(axis=0), 0), np.maximum(ends[..., 1].max(axis=0), _NARROWEST)
    ranges = np.stack([lows, highs], axis=1).astype(np.float32)
    return replace(network, layers=np.array([name for name, _ in read]), activation_ranges=ranges)


def inner_convolutions(model: Any) -> list[Any]:
    """Return the nodes of a graph that may compute in int8.

    These are the convolutions but for the first, which reads the CT, and the last, whose results are the outputs.
    """
    weighted = {"Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"}
    has_layer_behind: set[str] = set()
    for node in reversed(model.get_ordered_ops()):
        behind = [each.get_node() for output in node.outputs() for each in output.get_target_inputs()]
        if any(each.get_type_name() in weighted or each.friendly_name in has_layer_behind for each in behind):
            has_layer_behind.add(node.friendly_name)
    return [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Convolution"
        and node.friendly_name in has_layer_behind
        and node.input_value(0).get_node().get_type_name() != "Parameter"
        and _constant(node, 1) is not None
    ]


def compute_in_int8(model: Any, network: ExportedNetwork) -> None:
    """Change a graph so that convolutions whose activation ranges are known compute in int8."""
    from openvino import opset13 as ops

    ranges: dict[str, list[tuple[float, float]]] = {}
    for name, (low, high) in zip(network.layers, network.activation_ranges.tolist(), strict=True):
        ranges.setdefault(str(name), []).append((low, high))
    for node in model.get_ordered_ops():
        if node.friendly_name not in ranges:
            continue
        parts = _parts(node.input_value(0))
        ends = np.cumsum([part.get_partial_shape()[1].get_length() for part in parts])
        attributes = node.get_attributes()
        settings = [attributes[name] for name in ("strides", "pads_begin", "pads_end", "dilations")]
        weight, offset, replaced = _with_normalisation(node)
        filters = np.split(weight, ends[:-1], axis=1)
        convolutions = [
            ops.convolution(_in_steps(part, *each), _in_int8(some), *settings)
            for part, some, each in zip(parts, filters, ranges[node.friendly_name], strict=True)
        ]
        result = reduce(ops.add, convolutions)
        replaced.output(0).replace((result if offset is None else ops.add(result, ops.constant(offset))).output(0))


def _with_normalisation(node: Any) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, Any]:
    """Return a convolution's weights and offset with those of a batch normalisation right behind it, and that node.

    As one convolution both take fewer roundings.
    """
    weight = _constant(node, 1)
    assert weight is not None  # as in inner_convolutions
    behind = [each.get_node() for each in node.output(0).get_target_inputs()]
    if len(behind) != 1 or behind[0].get_type_name() != "BatchNormInference":
        return weight, None, node
    statistics = [each for number in range(1, 5) if (each := _constant(behind[0], number)) is not None]
    if len(statistics) < 4:
        return weight, None, node
    gain, bias, mean, variance = statistics
    scale = gain / np.sqrt(variance + np.float32(behind[0].get_attributes()["epsilon"]))
    shape = (-1, *[1] * (weight.ndim - 1))
    return weight * scale.reshape(shape), (bias - mean * scale).reshape(1, *shape[:-1]), behind[0]


def _constant(node: Any, number: int) -> NDArray[np.float32] | None:
    """Return an input of a node if it is constant."""
    given = node.input_value(number).get_node()
    if given.get_type_name() == "Convert":
        given = given.input_value(0).get_node()
    return given.data if given.get_type_name() == "Constant" else None


def _parts(value: Any) -> list[Any]:
    """Return the arrays that were joined, or the one that was not."""
    node = value.get_node()
    is_joined = node.get_type_name() == "Concat" and node.get_attributes()["axis"] == 1
    return [each.get_source_output() for each in node.inputs()] if is_joined else [value]


def _in_steps(value: Any, low: float, high: float) -> Any:
    from openvino import opset13 as ops

    if low < 0:  # signed: as many steps below 0 as above, but for one
        high = max(-low, high)
        low = -high * 128 / 127
    ends = np.float32(low), np.float32(high)
    return ops.fake_quantize(value, *ends, *ends, 256)


def _in_int8(weight: NDArray[np.float32]) -> Any:
    from openvino import opset13 as ops

    step = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True) / 127
    step = np.where(step > 0, step, 1).astype(np.float32)
    steps = np.rint(weight / step).astype(np.int8)
    return ops.multiply(ops.convert(ops.constant(steps), np.float32), ops.constant(step))
