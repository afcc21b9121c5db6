"""Sums of array elements by mostly zero weights, with the same bytes whatever the number of threads.

A product of NumPy arrays (``@``) goes to a BLAS library, which splits it over threads; the order of the additions then
depends on how many there are. Here one thread adds up each sum, in the order of its terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Weights:
    """A matrix of weights (outputs, inputs), most of which are 0."""

    def __init__(self, matrix: Array) -> None:
        from scipy.sparse import csr_array

        self._matrix: Any = csr_array(matrix.astype(np.float32))

    def rows(self, values: Array) -> Array:
        """Return the weighted sums of ``values`` (inputs, ...) along its first axis: (outputs, ...), float32."""
        flat = np.ascontiguousarray(values, dtype=np.float32).reshape(len(values), -1)
        return np.asarray(self._matrix @ flat).reshape(-1, *values.shape[1:])

    def columns(self, values: Array) -> Array:
        """Return the weighted sums of ``values`` (..., inputs) along its last axis: (..., outputs), float32."""
        return np.moveaxis(self.rows(np.moveaxis(values, -1, 0)), 0, -1)
