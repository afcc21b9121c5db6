"""The patient: all parts in painting order, and the nodes among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.regions import MEDIASTINUM
from ctlymph.phantom.body.abdomen import abdominal_parts
from ctlymph.phantom.body.chest import diaphragm, lung_parts, mediastinal_parts
from ctlymph.phantom.body.fat import FatStructure
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Bounds, HalfSpace, Intersection, LatticeSolid, Offset, Solid
from ctlymph.phantom.body.skeleton import skeleton_parts
from ctlymph.phantom.body.trunk import Trunk, back_parts, trunk_parts
from ctlymph.phantom.nodes.growth import node_generations
from ctlymph.phantom.nodes.placement import make_nodes
from ctlymph.phantom.nodes.placement_field import BodyPlacementField
from ctlymph.phantom.nodes.station_map import is_in_lung
from ctlymph.phantom.nodes.synthetic_nodes import NodeSeed, TrueNode


@dataclass(frozen=True)
class Anatomy:
    """A patient without a scanner: tissues and nodes in LPS mm.

    Attributes:
        parts: All tissues in painting order; nodes last.
        nodes: The truth.
        scale: Size of this patient along x, y, z, 1 for the standard one.
        bounds: Box of the body, LPS mm.
        fat: Septa and small vessels in the fat.
    """

    parts: tuple[BodyPart, ...]
    nodes: tuple[TrueNode, ...]
    scale: tuple[float, float, float]
    bounds: Bounds
    fat: FatStructure


@dataclass(frozen=True)
class Body:
    """A patient without nodes, and without lungs, whose border depends on the nodes.

    Attributes:
        trunk: The outline.
        below: Everything under the diaphragm.
        frame: Parts that are painted before the lungs.
        mediastinum: Heart, vessels, airways and oesophagus.
        others: Further parts that are painted before and after the lungs.
        fat: Septa and small vessels in the fat.
    """

    trunk: Trunk
    below: Solid
    frame: tuple[BodyPart, ...]
    mediastinum: tuple[BodyPart, ...]
    others: tuple[tuple[BodyPart, ...], tuple[BodyPart, ...]]
    fat: FatStructure

    @classmethod
    def of(cls, seed: int, *, contrast: bool = True, timepoint: int = 0) -> Body:
        """Make a body, neck base to pelvis; at a later ``timepoint`` its posture and breath differ a little."""
        physique = Physique.sampled(np.random.default_rng([seed, 1]), contrast)
        if timepoint:
            physique = _lain_down_again(physique, np.random.default_rng([seed, 6, timepoint]))
        trunk = Trunk.of(physique)
        below = diaphragm(physique)
        frame, back, skeleton = trunk_parts(trunk), back_parts(trunk), skeleton_parts(trunk)
        mediastinum, abdomen = mediastinal_parts(trunk), abdominal_parts(trunk, below)
        before = (*_diaphragm_parts(trunk, below), *back, *skeleton)
        return cls(trunk, below, tuple(frame), tuple(mediastinum), (before, tuple(abdomen)), FatStructure.sampled(seed))

    @cached_property
    def placement_field(self) -> BodyPlacementField:
        """The fat into which nodes are placed."""
        before, after = self.others
        parts = (*self.frame, *before, *self.mediastinum, *after)
        return BodyPlacementField(self.trunk.physique, parts, self.trunk.skin.bounds, self.below)

    def with_nodes(self, nodes: Sequence[TrueNode]) -> Anatomy:
        """Add nodes and, round those of the mediastinum, the lungs."""
        before, after = self.others
        wrapped = [node.solid for node in nodes if node.region == MEDIASTINUM and not is_in_lung(node.station)]
        lungs = lung_parts(self.trunk, list(self.mediastinum), wrapped, self.below)
        parts = (*self.frame, *lungs, *before, *self.mediastinum, *after)
        x, y, z = (float(s) for s in self.trunk.physique.scale)
        inside = tuple(part for node in nodes for part in node.parts)
        return Anatomy((*parts, *inside), tuple(nodes), (x, y, z), self.trunk.skin.bounds, self.fat)


def torso(seed: int, *, contrast: bool = True, timepoint: int = 0) -> Anatomy:
    """Make a patient from neck base to pelvis, not yet scanned.

    Args:
        seed: The patient; the same seed gives the same patient.
        contrast: Whether the patient is contrast-enhanced.
        timepoint: 0 for the baseline; at later ones, posture, breath and nodes differ.

    Returns:
        All tissues and nodes in LPS mm.
    """
    first = Body.of(seed, contrast=contrast)
    return anatomy_of(
        seed, timepoint, first, node_generations(seed, first.placement_field, timepoint + 1)[timepoint].node_seeds
    )


def anatomy_of(seed: int, timepoint: int, first: Body, node_seeds: Sequence[NodeSeed]) -> Anatomy:
    """Make the patient of ``first`` at a time point, with nodes given in the coordinates of the first scan."""
    if not timepoint:
        return first.with_nodes(make_nodes(first.placement_field, node_seeds))
    later = Body.of(seed, contrast=first.placement_field.enhanced, timepoint=timepoint)
    transported: list[NodeSeed] = []
    for node_seed in node_seeds:
        moved = node_seed.transported(first.trunk.physique, later.trunk.physique)
        transported.append(later.placement_field.pushed_clear(moved, transported, abutting=False)[0])
    return later.with_nodes(make_nodes(later.placement_field, transported))


def _lain_down_again(physique: Physique, rng: np.random.Generator) -> Physique:
    """Return the physique in another posture and breath: moved by some mm, in waves longer than any organ."""
    breath = rng.normal(0, (0.004, 0.006, 0.008))
    amplitude = rng.uniform(0.5, 2.5, (1, 3, 1))
    wave = rng.normal(0, 2 * np.pi / 500, (1, 3, 3))
    bend: NDArray[np.float64] = np.concatenate([amplitude, wave, rng.uniform(0, 2 * np.pi, (1, 3, 1))], axis=2)
    return replace(physique, scale=physique.scale * (1 + breath), bends=np.concatenate([physique.bends, bend]))


def _diaphragm_parts(trunk: Trunk, below: Solid) -> list[BodyPart]:
    t, scale = trunk.physique.tissues, trunk.physique.scale
    upper = HalfSpace((0, 0, 60.0 * scale[2]), (0, 0, -1))
    return [
        BodyPart("diaphragm", "surroundings", LatticeSolid(Intersection((trunk.cavity, below, upper)), 2.5), t.muscle),
        BodyPart("abdominal fat", "fat", LatticeSolid(Intersection((trunk.cavity, Offset(below, -2.6))), 2.5), t.fat),
    ]
