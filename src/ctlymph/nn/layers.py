"""What networks are written in: a small vocabulary of layers, spoken by PyTorch for learning and by OpenVINO for use.

An architecture is one function that calls layers by name and hands values on, so that it reads from its input to its
output. Whoever speaks the vocabulary decides what a value is: a tensor, or a node of a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]
"""What a network has learned: arrays by ``LAYER.weight``, ``.bias``, and of normalised layers ``.gain``, ``.mean`` and
``.variance``; and, where that has been looked at, the ``.range`` of what a layer is given."""

NORM_EPSILON = 1e-5
"""Added to variances, as PyTorch does by default."""


class Layers(Protocol):
    """The vocabulary; values are batches ``(b, channels, *space)``, behind ``mean`` or ``flat`` ``(b, features)``."""

    def conv(
        self, name: str, x: Any, channels: int, size: int = 3, *, stride: int = 1, norm: bool = True, relu: bool = True
    ) -> Any:
        """Convolve, without shrinking but by the stride; then normalise by batch statistics and cut off below 0."""
        ...

    def up(self, name: str, x: Any, channels: int) -> Any:
        """Make twice as fine by a transposed convolution of size 2, without any cut-off."""
        ...

    def dense(self, name: str, x: Any, width: int, *, relu: bool = True) -> Any:
        """Connect all features with all."""
        ...

    def pool(self, x: Any, size: int = 2) -> Any:
        """Take the greatest of blocks."""
        ...

    def shrink(self, x: Any, size: int = 2) -> Any:
        """Take the mean of blocks."""
        ...

    def mean(self, x: Any) -> Any:
        """Take the mean over space: ``(b, channels)``."""
        ...

    def flat(self, x: Any) -> Any:
        """Lay all values of an example in a row."""
        ...

    def relu(self, x: Any) -> Any:
        """Cut off below 0."""
        ...

    def plus(self, x: Any, y: Any) -> Any:
        """Add values."""
        ...

    def joined(self, *parts: Any) -> Any:
        """Put channels side by side."""
        ...

    def dropout(self, x: Any, share: float) -> Any:
        """While learning, leave out so many of the values by chance."""
        ...


@dataclass(frozen=True)
class Architecture:
    """A network before it has learned anything.

    Attributes:
        name: For messages.
        build: From layers and the inputs' values to the outputs' values.
        inputs: Shape of an example of each input, ``(channels, *space)``; spaces may be any for which the
            build's halvings come out even.
    """

    name: str
    build: Callable[..., Sequence[Any]]
    inputs: tuple[tuple[int, ...], ...]


def padding_of(size: int, stride: int) -> int:
    """Give the zeros at each side with which a convolution shrinks by its stride alone.

    Raises:
        ValueError: If there is none.
    """
    if (size - stride) % 2:
        raise ValueError(f"no even padding for size {size} at stride {stride}")
    return (size - stride) // 2
