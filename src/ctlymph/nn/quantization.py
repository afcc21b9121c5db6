"""The ranges of what a network's layers are given, by which they can compute in int8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.nn.inference import compiled
from ctlymph.nn.layers import Architecture, Weights

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
    from ctlymph.nn.openvino_backend import inner_graph_of

    batches = [list(example) for example in examples]
    graph, names = inner_graph_of(architecture, weights, [each.shape for each in batches[0]])
    if not names:
        return dict(weights)
    request = compiled(graph, "f32")
    ends = np.array(
        [[np.quantile(each, (_BEYOND, 1 - _BEYOND)) for each in request.infer(batch).values()] for batch in batches]
    )
    lows, highs = np.minimum(ends[..., 0].min(axis=0), 0), np.maximum(ends[..., 1].max(axis=0), _NARROWEST)
    ranges: dict[str, list[tuple[float, float]]] = {}
    for name, low, high in zip(names, lows, highs, strict=True):
        ranges.setdefault(f"{name}.range", []).append((low, high))
    return {**weights, **{name: np.array(each, np.float32) for name, each in ranges.items()}}
