"""Iuga 2021: a 3D foveal network that segments nodes, and detects them by that.

Iuga AI, Carolus H, Höink AJ, Brosch T, Klinder T, Maintz D, Persigehl T, Baeßler B, Püsken M: Automated detection and
segmentation of thoracic lymph nodes from CT using 3D foveal fully convolutional neural networks, BMC Medical Imaging
2021, 10.1186/s12880-021-00599-z. As in an eye, the network reads a place at full resolution and its surroundings at
ever coarser ones; features of each resolution are joined from coarse to fine, and classify every voxel.

Chosen here: three resolutions, 1.5, 3 and 6 mm, which are means of the finest; three convolutions at each and one
where they are joined. A candidate is a peak of the smoothed mask; its radius is that of a ball of the volume that hangs
together there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ctlymph.detectors.base import Stage
from ctlymph.detectors.parts.region_network import SegmentationNetwork

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Foveal(SegmentationNetwork):
    """The stage."""

    version: ClassVar[int] = 2

    name: str = "iuga2021"
    width: int = 16

    def module(self) -> nn.Module:
        """Return the foveal network."""
        from ctlymph.nn.modules.foveal import FovealNetwork

        return FovealNetwork(self.width)


STAGES: tuple[Stage, ...] = (Foveal(),)
