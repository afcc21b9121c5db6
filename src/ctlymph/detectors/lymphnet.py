"""LymphNet: the nodes of a region in one pass of a compact 3D network.

The CT is looked at in voxels of 1.5 mm. A convolution halves them at once, so that nearly all work is done at 3 mm,
where a U-shaped network (Ronneberger et al., MICCAI 2015) gathers what lies around a place, up to some 20 cm. It
answers three questions: is here the centre of an enlarged node (a map with a peak on each, as Zhou et al., arXiv
1904.07850), how long is its short axis, and, at 1.5 mm, which voxels belong to nodes; the last teaches it what nodes
look like. What is small, or outside the region, is not all annotated, and nothing is learned from it.

All layers are plain convolutions whose normalisation vanishes in them when they run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import Stage
from ctlymph.detectors.parts.patches import IGNORE, NODE, Part
from ctlymph.detectors.parts.region_network import Heatmap, Outputs, RegionNetwork, mask_loss
from ctlymph.nn.layers import Architecture, Layers

if TYPE_CHECKING:
    from torch import Tensor

_HALVED = 2
"""Voxels of the input along a voxel of the centre map."""
_RARE = -4.0
"""Added to the log-odds of centres, which are rare: the network need not learn that first."""
_USUAL_MM = 15.0
"""Short axes are told as the logarithm of their ratio to this."""
_SPREAD = 0.25
"""Sigma of a peak in the centre map, as a share of the short axis; not less than a voxel."""


def _network(layers: Layers, x: Any, width: int) -> list[Any]:
    wide, wider, widest = 2 * width, 3 * width, 4 * width
    a = layers.conv("in", x, width, 4, stride=2)
    a = layers.conv("a2", layers.conv("a1", a, width), width)
    b = layers.conv("b0", a, wide, 2, stride=2)
    b = layers.conv("b2", layers.conv("b1", b, wide), wide)
    c = layers.conv("c0", b, wider, 2, stride=2)
    c = layers.conv("c2", layers.conv("c1", c, wider), wider)
    d = layers.conv("d0", c, widest, 2, stride=2)
    d = layers.conv("d2", layers.conv("d1", d, widest), widest)
    c = layers.conv("c3", layers.joined(layers.up("c-up", d, wider), c), wider)
    b = layers.conv("b3", layers.joined(layers.up("b-up", c, wide), b), wide)
    a = layers.conv("a3", layers.joined(layers.up("a-up", b, width), a), width)
    a = layers.conv("a4", a, width)
    centre = layers.conv("centre", a, 1, 1, norm=False, relu=False)
    size = layers.conv("size", a, 1, 1, norm=False, relu=False)
    mask = layers.conv("mask", layers.relu(layers.up("fine", a, 8)), 1, norm=False, relu=False)
    return [centre, size, mask]


@dataclass(frozen=True)
class LymphNet(RegionNetwork):
    """The stage."""

    version: ClassVar[int] = 1

    name: str = "lymphnet"
    width: int = 32

    @property
    def architecture(self) -> Architecture:
        """The network; it gives log-odds of centres, sizes, and log-odds of masks."""
        return Architecture("LymphNet", partial(_network, width=self.width), ((1, 32, 32, 32),))

    def answers(self, part: Part) -> tuple[NDArray[np.float32], ...]:
        """Give peaks, logarithms of sizes, where these are known, the mask, and where that is known."""
        side = part.hu.shape[0] // _HALVED
        peaks, sizes = np.zeros((2, 1, side, side, side), np.float32)
        places = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1)
        for centre, short_mm in zip(part.centres_zyx, part.short_axes_mm, strict=True):
            nearest = np.rint((centre - (_HALVED - 1) / 2) / _HALVED)
            sigma = max(_SPREAD * short_mm / (self.spacing_mm * _HALVED), 1.0)
            peak = np.exp(-((places - nearest) ** 2).sum(axis=-1) / (2 * sigma**2)).astype(np.float32)
            sizes[0][peak > peaks[0]] = np.log(short_mm / _USUAL_MM)
            np.maximum(peaks[0], peak, out=peaks[0])
        known = (part.what != IGNORE)[None]
        coarse = known[:, ::_HALVED, ::_HALVED, ::_HALVED] | (peaks > 0.5)
        node = (part.what == NODE)[None]
        return peaks, sizes, coarse.astype(np.float32), node.astype(np.float32), known.astype(np.float32)

    def loss(self, outputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """Add the losses of centres (focal, as Law and Deng, ECCV 2018), sizes and masks."""
        import torch
        from torch.nn import functional as F  # noqa: N812

        (centre, size, mask), (peaks, sizes, coarse, node, known) = outputs, wanted
        centre = centre + _RARE
        chance = torch.sigmoid(centre)
        is_peak = (peaks > 0.999).float() * coarse
        here = is_peak * (1 - chance) ** 2 * F.softplus(-centre)
        elsewhere = (1 - is_peak) * coarse * (1 - peaks) ** 4 * chance**2 * F.softplus(centre)
        centres = (here + elsewhere).sum() / is_peak.sum().clamp(min=1)
        near = (peaks > 0.5).float() * coarse
        off = near * F.smooth_l1_loss(size, sizes, reduction="none", beta=0.2)
        return centres + off.sum() / near.sum().clamp(min=1) + mask_loss(mask, node, known)

    def chances(self, outputs: Outputs) -> Heatmap:
        """Read centres and sizes."""
        from scipy.special import expit

        centre, size, _ = outputs
        radii_mm = np.exp(np.clip(size[0], -1.5, 1.5)) * _USUAL_MM / 2
        return Heatmap(expit(centre[0] + _RARE), _HALVED, radii_mm)


STAGES: tuple[Stage, ...] = (LymphNet(),)
