"""A network run over a large array in slabs, so that memory does not grow with the number of slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ctlymph.nn.inference import Run


def in_slabs(
    make: Callable[[Sequence[int]], Run],
    array: NDArray[np.float32],
    *,
    slices: int,
    overlap: int,
    multiple: int,
    fill: float,
) -> list[NDArray[np.float32]]:
    """Return a network's outputs for a whole array.

    Slabs hold all of y and x, which are padded to a ``multiple``. Along z they overlap; each slice is taken from the
    slab whose ends are farther away. An array of few slices is one slab.

    Args:
        make: Makes the network ready for an input of a shape ``(1, 1, z, y, x)``.
        array: z, y, x.
        slices: Of a slab at most; a multiple of ``multiple``.
        overlap: Slices at least between the end of a slab and the part of it that is kept; a multiple of ``multiple``.
        multiple: Input shapes must be multiples of this.
        fill: Value of the padding.

    Returns:
        Each output ``(channels, z, y, x)``; where an output is coarser than the input, a voxel of it covers a whole
        block of the array's, the last perhaps in part.

    Raises:
        ValueError: If slices or overlap are not multiples, or two overlaps fill a slab.
    """
    if slices % multiple or overlap % multiple:
        raise ValueError(f"slices {slices} and overlap {overlap} must be multiples of {multiple}")
    if 2 * overlap >= slices:
        raise ValueError(f"overlaps of {overlap} leave nothing of a slab of {slices}")
    whole = [_filled(length, multiple) for length in array.shape]
    shape = (min(slices, whole[0]), *whole[1:])
    rows, columns = array.shape[1:]
    starts, edges = _slabs(whole[0], shape[0], overlap)
    run = make((1, 1, *shape))
    outputs: list[NDArray[np.float32]] = []
    for start, low, high in zip(starts, edges, edges[1:], strict=False):
        slab = np.full(shape, fill, np.float32)
        slices_here = array[start : start + shape[0]]
        slab[: len(slices_here), :rows, :columns] = slices_here
        found = run(slab[None, None])
        if not outputs:
            outputs = [_canvas(each, shape, array.shape) for each in found]
        for canvas, each in zip(outputs, found, strict=True):
            step = shape[0] // each.shape[2]
            kept = each[0, :, (low - start) // step : (high - start) // step]
            part = canvas[:, low // step : high // step]
            part[:] = kept[:, : part.shape[1], : part.shape[2], : part.shape[3]]
    return outputs


def _slabs(depth: int, length: int, overlap: int) -> tuple[list[int], list[int]]:
    """Return the first slices of the slabs, and the edges between the parts that are kept of them."""
    if length == depth:
        return [0], [0, depth]
    step = length - 2 * overlap
    starts = [*range(0, depth - length, step), depth - length]
    between = [(before + length + after) // 2 for before, after in pairwise(starts)]
    return starts, [0, *between, depth]


def _filled(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _canvas(output: NDArray[np.float32], input_shape: Sequence[int], whole: Sequence[int]) -> NDArray[np.float32]:
    steps = [a // b for a, b in zip(input_shape, output.shape[2:], strict=True)]
    space = [-(-length // step) for length, step in zip(whole, steps, strict=True)]
    return np.empty((output.shape[1], *space), np.float32)
