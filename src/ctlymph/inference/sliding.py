"""A network slid over a large array in slabs, so that memory does not grow with the number of slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ctlymph.inference.engine import Run


def in_slabs(
    make: Callable[[Sequence[int]], Run],
    array: NDArray[np.float32],
    *,
    slices: int,
    overlap: int,
    multiple: int,
    fill: float,
) -> list[NDArray[np.float32]]:
    """Give a network's outputs for a whole array.

    Slabs run over all of y and x, which are filled up to a ``multiple``; along z they overlap, and of every slab the
    middle is kept.

    Args:
        make: Makes the network ready for an input of a shape ``(1, 1, z, y, x)``.
        array: z, y, x.
        slices: Of a slab, without the overlaps; a multiple of ``multiple``.
        overlap: Slices at either side that a slab shares with its neighbours; a multiple of ``multiple``.
        multiple: Input shapes must be multiples of this.
        fill: Value around the array.

    Returns:
        Each output ``(channels, z, y, x)``; where an output is coarser than the input, a voxel of it covers a whole
        block of the array's, the last perhaps in part.

    Raises:
        ValueError: If slices or overlap are no multiples.
    """
    if slices % multiple or overlap % multiple:
        raise ValueError(f"slices {slices} and overlap {overlap} must be multiples of {multiple}")
    depth, rows, columns = array.shape
    core = min(slices, _filled(depth, multiple))
    shape = (core + 2 * overlap, _filled(rows, multiple), _filled(columns, multiple))
    run = make((1, 1, *shape))
    outputs: list[NDArray[np.float32]] = []
    for first in range(0, depth, core):
        slab = np.full(shape, fill, np.float32)
        low, high = max(first - overlap, 0), min(first + core + overlap, depth)
        at = low - (first - overlap)
        slab[at : at + high - low, :rows, :columns] = array[low:high]
        found = run(slab[None, None])
        if not outputs:
            outputs = [_canvas(each, shape, array.shape) for each in found]
        for canvas, each in zip(outputs, found, strict=True):
            step = shape[0] // each.shape[2]
            kept = each[0, :, overlap // step : (overlap + core) // step]
            part = canvas[:, first // step : (first + core) // step]
            part[:] = kept[:, : part.shape[1], : part.shape[2], : part.shape[3]]
    return outputs


def _filled(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _canvas(output: NDArray[np.float32], given: Sequence[int], whole: Sequence[int]) -> NDArray[np.float32]:
    steps = [a // b for a, b in zip(given, output.shape[2:], strict=True)]
    space = [-(-length // step) for length, step in zip(whole, steps, strict=True)]
    return np.empty((output.shape[1], *space), np.float32)
