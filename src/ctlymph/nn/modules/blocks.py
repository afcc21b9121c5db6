"""Building blocks of the networks in this package."""

from __future__ import annotations

import math

from torch import nn

_CONVOLUTIONS: dict[int, tuple[type[nn.Module], type[nn.Module]]] = {
    2: (nn.Conv2d, nn.BatchNorm2d),
    3: (nn.Conv3d, nn.BatchNorm3d),
}


class ConvBlock(nn.Sequential):
    """A convolution, batch normalisation (Ioffe and Szegedy, ICML 2015), and ReLU.

    Args:
        inputs: Channels that it reads.
        outputs: Channels that it returns.
        size: Of its filters, pixels or voxels.
        stride: Factor by which space becomes smaller; nothing else makes it smaller.
        dims: 2 for images, 3 for volumes.
        relu: Whether negative values are set to 0.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int = 3, *, stride: int = 1, dims: int = 3, relu: bool = True
    ) -> None:
        super().__init__()
        convolution, normalisation = _CONVOLUTIONS[dims]
        padding = same_padding(size, stride)
        self.add_module("conv", convolution(inputs, outputs, size, stride, padding, bias=False))
        self.add_module("norm", normalisation(outputs))
        if relu:
            self.add_module("relu", nn.ReLU())


def same_padding(size: int, stride: int) -> int:
    """Return the padding with which a convolution makes space smaller by its stride alone.

    Raises:
        ValueError: If there is none.
    """
    if (size - stride) % 2:
        raise ValueError(f"no even padding for size {size} at stride {stride}")
    return (size - stride) // 2


def initialise(layer: nn.Module) -> None:
    """Draw a layer's weights as He et al. (ICCV 2015) for networks with ReLU; for ``nn.Module.apply``."""
    if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):  # each output voxel comes from one input voxel
        nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_channels))
    elif isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
