"""The patient: all parts in painting order, and the nodes among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctlymph.phantom.abdomen import abdominal_parts
from ctlymph.phantom.chest import diaphragm, lung_parts, mediastinal_parts
from ctlymph.phantom.nodes import Ground, TrueNode, place_nodes
from ctlymph.phantom.parts import Build, Part
from ctlymph.phantom.shapes import Bounds, Common, Grown, HalfSpace, Sampled, Solid
from ctlymph.phantom.skeleton import skeleton_parts
from ctlymph.phantom.trunk import Trunk, back_parts, trunk_parts


@dataclass(frozen=True)
class Anatomy:
    """A patient without a scanner: tissues and nodes in LPS mm.

    Attributes:
        parts: What to paint, in order; nodes last.
        nodes: The truth.
        scale: Size of this patient along x, y, z, 1 for the standard one.
        bounds: Box of the body, LPS mm.
    """

    parts: tuple[Part, ...]
    nodes: tuple[TrueNode, ...]
    scale: tuple[float, float, float]
    bounds: Bounds


def torso(seed: int, *, contrast: bool = True) -> Anatomy:
    """Make a torso from neck base to iliac crests; the same seed gives the same patient."""
    rng = np.random.default_rng([seed, 1])
    build = Build.drawn(rng, contrast)
    trunk = Trunk.of(build)
    below = diaphragm(build)
    frame, back, skeleton = trunk_parts(trunk), back_parts(trunk), skeleton_parts(trunk)
    mediastinum, abdomen = mediastinal_parts(trunk), abdominal_parts(trunk, below)
    ground = Ground(build, (*frame, *back, *skeleton, *mediastinum, *abdomen), trunk.cavity, below)
    nodes = place_nodes(ground, np.random.default_rng([seed, 2]))
    chest_nodes = [node.solid for node in nodes if node.region == "mediastinum"]
    lungs = lung_parts(trunk, mediastinum, chest_nodes, below)
    parts = [*frame, *lungs, *_diaphragm_parts(trunk, below), *back, *skeleton, *mediastinum, *abdomen]
    parts += [part for node in nodes for part in node.parts]
    x, y, z = (float(s) for s in build.scale)
    return Anatomy(tuple(parts), nodes, (x, y, z), trunk.skin.bounds)


def _diaphragm_parts(trunk: Trunk, below: Solid) -> list[Part]:
    t, scale = trunk.build.tissues, trunk.build.scale
    upper = HalfSpace((0, 0, 60.0 * scale[2]), (0, 0, -1))
    return [
        Part("diaphragm", "surroundings", Sampled(Common((trunk.cavity, below, upper)), 2.5), t.muscle),
        Part("abdominal fat", "fat", Sampled(Common((trunk.cavity, Grown(below, -2.6))), 2.5), t.fat),
    ]
