"""LymphNet: the nodes of a region in one pass of a compact 3D network.

The CT is resampled to voxels of 1.5 mm. A convolution halves them at once, so that nearly all work is done at 3 mm,
where a U-net (Ronneberger et al., MICCAI 2015) gathers what lies around a place, up to some 20 cm. It has three heads:
the centres of enlarged nodes (a map with a peak on each, as Zhou et al., arXiv 1904.07850), their short axes, and, at
1.5 mm, the voxels of nodes. The masks only help training: detection does not compute them. Nodes that are small, or
outside the region, are not all annotated, and are ignored in training.

All layers are plain convolutions whose normalisation is folded into them when they run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import Stage
from ctlymph.detectors.parts.patches import IGNORE, NODE, Patch
from ctlymph.detectors.parts.region_network import Heatmap, Outputs, RegionNetwork, mask_loss

if TYPE_CHECKING:
    from torch import Tensor, nn

_HALVED = 2
"""Voxels of the input along a voxel of the centre map."""
_RARE = -4.0
"""Added to the log-odds of centres, which are rare: the network need not learn that first."""
_USUAL_MM = 15.0
"""Short axes are expressed as the logarithm of their ratio to this."""
_SPREAD = 0.25
"""Sigma of a peak in the centre map, as a share of the short axis; not less than a voxel."""


@dataclass(frozen=True)
class LymphNet(RegionNetwork):
    """The stage."""

    version: ClassVar[int] = 2
    used_outputs: ClassVar[tuple[int, ...] | None] = (0, 1)

    name: str = "lymphnet"
    width: int = 32

    def module(self) -> nn.Module:
        """Return the U-net; its outputs are log-odds of centres, sizes, and log-odds of masks."""
        from ctlymph.nn.modules.unet import CentreUNet

        return CentreUNet(self.width)

    def targets(self, patch: Patch) -> tuple[NDArray[np.float32], ...]:
        """Return peaks, logarithms of sizes, where these are known, the mask, and where that is known."""
        side = patch.hu.shape[0] // _HALVED
        peaks, sizes = np.zeros((2, 1, side, side, side), np.float32)
        places = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1)
        for centre, short_mm in zip(patch.centres_zyx, patch.short_axes_mm, strict=True):
            nearest = np.rint((centre - (_HALVED - 1) / 2) / _HALVED)
            sigma = max(_SPREAD * short_mm / (self.spacing_mm * _HALVED), 1.0)
            peak = np.exp(-((places - nearest) ** 2).sum(axis=-1) / (2 * sigma**2)).astype(np.float32)
            sizes[0][peak > peaks[0]] = np.log(short_mm / _USUAL_MM)
            np.maximum(peaks[0], peak, out=peaks[0])
        known = (patch.labels != IGNORE)[None]
        coarse = known[:, ::_HALVED, ::_HALVED, ::_HALVED] | (peaks > 0.5)
        node = (patch.labels == NODE)[None]
        return peaks, sizes, coarse.astype(np.float32), node.astype(np.float32), known.astype(np.float32)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Return the sum of the losses of centres (focal, as Law and Deng, ECCV 2018), sizes and masks."""
        import torch
        from torch.nn import functional as F  # noqa: N812

        (centre, size, mask), (peaks, sizes, coarse, node, known) = outputs, targets
        centre = centre + _RARE
        probability = torch.sigmoid(centre)
        is_peak = (peaks > 0.999).float() * coarse
        on_peaks = is_peak * (1 - probability) ** 2 * F.softplus(-centre)
        off_peaks = (1 - is_peak) * coarse * (1 - peaks) ** 4 * probability**2 * F.softplus(centre)
        centres = (on_peaks + off_peaks).sum() / is_peak.sum().clamp(min=1)
        near = (peaks > 0.5).float() * coarse
        errors = near * F.smooth_l1_loss(size, sizes, reduction="none", beta=0.2)
        return centres + errors.sum() / near.sum().clamp(min=1) + mask_loss(mask, node, known)

    def heatmap(self, outputs: Outputs) -> Heatmap:
        """Return probabilities of centres, and radii."""
        from scipy.special import expit

        centre, size = outputs
        radii_mm = np.exp(np.clip(size[0], -1.5, 1.5)) * _USUAL_MM / 2
        return Heatmap(expit(centre[0] + _RARE), _HALVED, radii_mm)


STAGES: tuple[Stage, ...] = (LymphNet(),)
