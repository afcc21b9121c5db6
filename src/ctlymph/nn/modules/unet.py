"""LymphNet's network: a U-net (Ronneberger et al., MICCAI 2015) with heads for centres, sizes and masks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ctlymph.nn.modules.blocks import ConvBlock, initialise


class CentreUNet(nn.Module):
    """A U-net whose first convolution halves the resolution, so that nearly all work is done on coarse voxels.

    Args:
        width: Channels of the finest level; the coarser ones have two, three and four times as many.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        channels = [width, 2 * width, 3 * width, 4 * width]
        self.encoders = nn.ModuleList(
            nn.Sequential(ConvBlock(inputs, outputs, size, stride=2), *(ConvBlock(outputs, outputs) for _ in range(2)))
            for inputs, outputs, size in zip([1, *channels], channels, [4, 2, 2, 2], strict=False)
        )
        levels = list(pairwise(reversed(channels)))
        self.upsamplings = nn.ModuleList(nn.ConvTranspose3d(coarse, fine, 2, stride=2) for coarse, fine in levels)
        self.decoders = nn.ModuleList(ConvBlock(2 * fine, fine) for _, fine in levels)
        self.last = ConvBlock(width, width)
        self.centre = nn.Conv3d(width, 1, 1)
        self.size = nn.Conv3d(width, 1, 1)
        self.mask = nn.Sequential(nn.ConvTranspose3d(width, 8, 2, stride=2), nn.ReLU(), nn.Conv3d(8, 1, 3, padding=1))
        self.apply(initialise)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-odds of centres, sizes, both at half the resolution, and log-odds of masks."""
        levels = []
        for encoder in self.encoders:
            x = encoder(x)
            levels.append(x)
        levels.pop()
        for upsampling, decoder in zip(self.upsamplings, self.decoders, strict=True):
            x = decoder(torch.cat([upsampling(x), levels.pop()], dim=1))
        x = self.last(x)
        return self.centre(x), self.size(x), self.mask(x)
