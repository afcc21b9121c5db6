"""Iuga 2021: a 3D foveal network that segments nodes, and finds them by that.

Iuga AI, Carolus H, Höink AJ, Brosch T, Klinder T, Maintz D, Persigehl T, Baeßler B, Püsken M: Automated detection and
segmentation of thoracic lymph nodes from CT using 3D foveal fully convolutional neural networks, BMC Medical Imaging
2021, 10.1186/s12880-021-00599-z. As an eye does, the network looks at a place sharply and at its surroundings in ever
coarser pictures; features of each resolution are joined from coarse to fine, and tell of every voxel whether it
belongs to a node.

Chosen here: three resolutions, 1.5, 3 and 6 mm, which are means of the finest; three convolutions at each and one
where they are joined. A candidate is a peak of the smoothed mask; its radius is that of a ball of the volume that hangs
together there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.morphology import components
from ctlymph.detectors.base import Stage
from ctlymph.detectors.parts.patches import IGNORE, NODE, Part
from ctlymph.detectors.parts.region_network import Heatmap, Outputs, RegionNetwork, mask_loss
from ctlymph.nn.layers import Architecture, Layers

if TYPE_CHECKING:
    from torch import Tensor

_SMOOTHED_MM = 2.0
_INSIDE = 0.5
_UNKNOWN_MM = 5.0
"""Radius of a peak that is not inside a mask."""


def _network(layers: Layers, x: Any, width: int) -> list[Any]:
    half = layers.shrink(x)
    coarse = _features(layers, "coarse", layers.shrink(half), 4 * width)
    middle = _features(layers, "middle", half, 2 * width)
    middle = layers.conv("middle-joined", layers.joined(layers.up("up1", coarse, 2 * width), middle), 2 * width)
    fine = _features(layers, "fine", x, width)
    fine = layers.conv("fine-joined", layers.joined(layers.up("up2", middle, width), fine), width)
    return [layers.conv("mask", fine, 1, 1, norm=False, relu=False)]


def _features(layers: Layers, name: str, x: Any, channels: int) -> Any:
    for number in range(1, 4):
        x = layers.conv(f"{name}{number}", x, channels)
    return x


@dataclass(frozen=True)
class Foveal(RegionNetwork):
    """The stage."""

    version: ClassVar[int] = 1

    name: str = "iuga2021"
    width: int = 16

    @property
    def architecture(self) -> Architecture:
        """The network; it gives log-odds of masks."""
        return Architecture("Iuga 2021", partial(_network, width=self.width), ((1, 16, 16, 16),))

    def answers(self, part: Part) -> tuple[NDArray[np.float32], ...]:
        """Give the mask, and where it is known."""
        return (part.what == NODE)[None].astype(np.float32), (part.what != IGNORE)[None].astype(np.float32)

    def loss(self, outputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """Give the loss of masks."""
        return mask_loss(outputs[0], *wanted)

    def chances(self, outputs: Outputs) -> Heatmap:
        """Smooth the mask, and measure what hangs together."""
        from scipy.ndimage import gaussian_filter
        from scipy.special import expit

        chance = expit(outputs[0][0])
        labels, sizes = components(chance > _INSIDE)
        balls_mm = (np.concatenate([[0], sizes]) * self.spacing_mm**3 * 3 / (4 * np.pi)) ** (1 / 3)
        balls_mm[0] = _UNKNOWN_MM
        return Heatmap(gaussian_filter(chance, _SMOOTHED_MM / self.spacing_mm), 1, balls_mm[labels])


STAGES: tuple[Stage, ...] = (Foveal(),)
