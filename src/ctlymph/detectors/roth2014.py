"""Roth 2014: a candidate in a hundred random 2.5D views, each scored by a small convolutional network.

Roth HR, Lu L, Seff A, Cherry KM, Hoffman J, Wang S, Liu J, Turkbey E, Summers RM: A new 2.5D representation for lymph
node detection using random sets of deep convolutional neural network observations, MICCAI 2014, arXiv 1406.2639;
IEEE TMI 2016, PMC7340334. Axial, coronal and sagittal patches of 32 × 32 pixels through a candidate are the three
channels of an image; four sizes, five shifts of up to 3 mm and five rotations make 100 views of it. The network has
two convolutions with pooling, two locally connected layers, and dropout before its output; the 100 probabilities are
averaged.

Chosen here: plain convolutions where the paper connects locally, with batch normalisation (Ioffe and Szegedy, ICML
2015) throughout, which needs fewer steps; dropout where it drops connections; balanced batches; nothing is mirrored.
Candidates within the hit distance of a node that do not show it are not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ctlymph.detectors.base import Stage
from ctlymph.detectors.parts.view_network import Averaged, ViewNetwork

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class RothViews(ViewNetwork):
    """Every view scored by the small network."""

    version: ClassVar[int] = 2

    name: str = "roth2014-views"
    side_px: int = 32

    def module(self) -> nn.Module:
        """Return the small network."""
        from ctlymph.nn.modules.view_classifiers import SmallConvNet

        return SmallConvNet(self.side_px)


def stages(views: int = 100) -> tuple[Stage, ...]:
    """Return the stages that follow a candidate generator; the scores of so many views are averaged."""
    return RothViews(), Averaged(f"roth2014-mean-{views}", views)
