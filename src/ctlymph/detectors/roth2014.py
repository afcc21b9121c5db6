"""Roth 2014: a candidate seen in a hundred random 2.5D views, each scored by a small convolutional network.

Roth HR, Lu L, Seff A, Cherry KM, Hoffman J, Wang S, Liu J, Turkbey E, Summers RM: A new 2.5D representation for lymph
node detection using random sets of deep convolutional neural network observations, MICCAI 2014, arXiv 1406.2639;
IEEE TMI 2016, PMC7340334. Axial, coronal and sagittal patches of 32 × 32 pixels through a candidate are the three
channels of a picture; four sizes, five shifts of up to 3 mm and five rotations make 100 views of it. The network has
two convolutions with pooling, two locally connected layers, and dropout before its answer; the 100 chances are
averaged.

Chosen here: plain convolutions where the paper connects locally, with batch normalisation (Ioffe and Szegedy, ICML
2015) throughout, which needs fewer steps; dropout where it drops connections; balanced batches; nothing is mirrored.
Candidates in reach of a node that do not show it are not learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ctlymph.detectors.base import Stage
from ctlymph.detectors.parts.view_network import Averaged, ViewNetwork
from ctlymph.nn.layers import Architecture, Layers


def _network(layers: Layers, x: Any) -> list[Any]:
    x = layers.pool(layers.conv("first", x, 64, 5))
    x = layers.pool(layers.conv("second", x, 64))
    x = layers.conv("third", x, 64)
    x = layers.conv("fourth", x, 32)
    x = layers.dense("fifth", layers.dropout(layers.flat(x), 0.5), 128)
    return [layers.dense("answer", layers.dropout(x, 0.5), 1, relu=False)]


@dataclass(frozen=True)
class RothViews(ViewNetwork):
    """Every view scored by the small network."""

    version: ClassVar[int] = 1

    name: str = "roth2014-views"
    side_px: int = 32

    @property
    def architecture(self) -> Architecture:
        """The small network."""
        return Architecture("Roth 2014", _network, ((3, self.side_px, self.side_px),))


def stages(views: int = 100) -> tuple[Stage, ...]:
    """Give the stages that follow a candidate generator; of the views, so many count."""
    return RothViews(), Averaged(f"roth2014-mean-{views}", views)
