"""The foveal network of Iuga et al. (2021): the same place at three resolutions, joined from coarse to fine."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ctlymph.nn.modules.blocks import ConvBlock, initialise


class FovealNetwork(nn.Module):
    """Features at full, half and quarter resolution; a mask at full resolution.

    Args:
        width: Channels at full resolution; at the coarser ones two and four times as many.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.coarse = _features(4 * width)
        self.middle = _features(2 * width)
        self.fine = _features(width)
        self.to_middle = nn.ConvTranspose3d(4 * width, 2 * width, 2, stride=2)
        self.middle_joined = ConvBlock(4 * width, 2 * width)
        self.to_fine = nn.ConvTranspose3d(2 * width, width, 2, stride=2)
        self.fine_joined = ConvBlock(2 * width, width)
        self.mask = nn.Conv3d(width, 1, 1)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Return log-odds of masks."""
        half = F.avg_pool3d(x, 2)
        coarse = self.coarse(F.avg_pool3d(half, 2))
        middle = self.middle_joined(torch.cat([self.to_middle(coarse), self.middle(half)], dim=1))
        fine = self.fine_joined(torch.cat([self.to_fine(middle), self.fine(x)], dim=1))
        mask: Tensor = self.mask(fine)
        return mask


def _features(channels: int) -> nn.Sequential:
    return nn.Sequential(ConvBlock(1, channels), ConvBlock(channels, channels), ConvBlock(channels, channels))
