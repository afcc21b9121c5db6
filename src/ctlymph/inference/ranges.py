"""The ranges of what a network's layers are given, by which they can compute in int8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.inference.layers import Architecture, Weights

_BEYOND = 1e-4
"""Share of the values in an example that may lie beyond each end of a range; few large ones would make the steps coarse
for all."""
_NARROWEST = 1e-6
"""A layer that is only ever given 0 has a range, too."""


def with_ranges(
    architecture: Architecture, weights: Weights, examples: Iterable[Sequence[NDArray[np.float32]]]
) -> dict[str, NDArray[Any]]:
    """Look at what the inner layers are given, in float32, and note the ranges beside the weights.

    Args:
        architecture: Of the network.
        weights: What it has learned.
        examples: Batches of its inputs, all of one shape.

    Returns:
        The weights, and ``LAYER.range``, ``(parts, 2)``: the lowest, 0 or less, and the highest of each part.
    """
    import openvino

    from ctlymph.inference.graph import inner_graph_of

    batches = [list(example) for example in examples]
    graph, names = inner_graph_of(architecture, weights, [each.shape for each in batches[0]])
    if not names:
        return dict(weights)
    request = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    lows: list[list[float]] = []
    highs: list[list[float]] = []
    for batch in batches:
        ends = [np.quantile(values, (_BEYOND, 1 - _BEYOND)) for values in request.infer(batch).values()]
        lows.append([min(0.0, float(low)) for low, _ in ends])
        highs.append([max(_NARROWEST, float(high)) for _, high in ends])
    ranges: dict[str, list[tuple[float, float]]] = {}
    for name, low, high in zip(names, np.min(lows, axis=0), np.max(highs, axis=0), strict=True):
        ranges.setdefault(f"{name}.range", []).append((low, high))
    return {**weights, **{name: np.array(each, np.float32) for name, each in ranges.items()}}
