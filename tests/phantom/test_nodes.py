from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ctlymph.core.volume import Geometry
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Ellipsoid, HalfSpace
from ctlymph.phantom.nodes.node_shapes import Lobulated
from ctlymph.phantom.nodes.patient_anatomy import Anatomy
from ctlymph.phantom.nodes.placement import make_nodes, place_nodes
from ctlymph.phantom.nodes.placement_field import BodyPlacementField
from ctlymph.phantom.nodes.station_map import STATIONS, is_in_lung, stations_of
from ctlymph.phantom.nodes.synthetic_nodes import NodeSeed, TrueNode
from ctlymph.phantom.scan.scanner import label

BALL = Lobulated(Ellipsoid((0.0, 0.0, 0.0), (6.0, 6.0, 6.0)), np.zeros((0, 4)))


def inner_points(node: TrueNode, step: float = 0.7) -> NDArray[np.float64]:
    """Points of a node, 1 mm and more from its surface."""
    low, high = node.solid.bounds
    step = min(step, float((high - low).min()) / 9)
    axes = [np.arange(a, b, step) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(points[node.solid.at(points) < -1.0])


def field_of_fat(*obstacles: BodyPart) -> BodyPlacementField:
    everywhere = BodyPart("fat", "fat", HalfSpace((0, 0, 900), (0, 0, 1)), -100.0)
    physique = Physique.sampled(np.random.default_rng(0), contrast=True)
    box = np.full(3, -60.0), np.full(3, 60.0)
    return BodyPlacementField(physique, (everywhere, *obstacles), box, HalfSpace((0, 0, 0), (0, 0, 1)))


def placed_in_fat(seed: int, *, contrast: bool = True) -> tuple[NodeSeed, ...]:
    everywhere = BodyPart("fat", "fat", HalfSpace((0, 0, 900), (0, 0, 1)), -100.0)
    physique = Physique.sampled(np.random.default_rng(seed), contrast=contrast)
    box = np.array([-160.0, -120.0, -200.0]), np.array([160.0, 60.0, 450.0])
    return place_nodes(
        BodyPlacementField(physique, (everywhere,), box, HalfSpace((0, 0, 220), (0, 0, 1))), np.random.default_rng(seed)
    )


def node_at(x: float, radius: float = 6.0) -> NodeSeed:
    return NodeSeed((BALL.at_place((x, 0, 0), radius / 6),), stations_of("abdomen")[0], 60.0, marked=True)


def test_nodes_are_numbered_with_those_that_are_annotated_first(anatomy: Anatomy) -> None:
    assert [node.node for node in anatomy.nodes] == list(range(1, len(anatomy.nodes) + 1))
    marked = [node.marked for node in anatomy.nodes]
    assert marked == sorted(marked, reverse=True)


def test_a_patient_has_10_to_30_small_nodes_that_nobody_marks(anatomy: Anatomy) -> None:
    small = [node for node in anatomy.nodes if not node.marked]
    assert 8 <= len(small) <= 30
    assert {node.region for node in small} == {"mediastinum", "abdomen"}
    assert all(2.0 < node.short_axis_mm < 10.5 for node in small)


def test_annotated_nodes_are_enlarged_in_the_chest_and_some_are_small_in_the_abdomen(anatomy: Anatomy) -> None:
    for node in anatomy.nodes:
        if node.marked:
            assert node.short_axis_mm > {"mediastinum": 8.5, "abdomen": 5.5}[node.region]
        assert node.short_axis_mm <= node.long_axis_mm
        assert node.station in {station.name for station in STATIONS if station.region == node.region}


def test_no_node_lies_in_a_vessel_an_organ_a_bone_or_another_node(anatomy: Anatomy) -> None:
    last = {part.name: n for n, part in enumerate(anatomy.parts)}
    hard = [p for p in anatomy.parts if p.kind in ("vessel", "organ", "bowel", "airway", "bone")]
    freeing = [part for part in anatomy.parts if part.kind == "fat"]
    for node in anatomy.nodes:
        points = inner_points(node)
        for part in hard:
            within = points[part.solid.at(points) < -0.6]
            # Later fat frees what it covers, as in the sinus of the kidney.
            later = [fat for fat in freeing if last[fat.name] > last[part.name]]
            left = [p for p in within if not any(fat.solid.at(p[None])[0] < 0 for fat in later)]
            assert len(left) <= 0.03 * len(points), (node.node, node.station, part.name)
        for other in anatomy.nodes[: node.node - 1]:
            assert not (other.solid.at(points) < 0).any()


def test_some_nodes_lie_against_something_else(anatomy: Anatomy) -> None:
    hard = [part for part in anatomy.parts if part.kind in ("vessel", "organ", "bowel", "muscle")]
    close = 0
    for node in anatomy.nodes:
        low, high = node.solid.bounds
        rim = np.random.default_rng(0).uniform(low - 2, high + 2, (2000, 3))
        rim = rim[np.abs(node.solid.at(rim)) < 1.0]
        close += min(float(part.solid.at(rim).min()) for part in hard) < 1.5
    assert close >= 0.3 * len(anatomy.nodes)


def test_what_lies_within_a_node_is_painted_after_it_and_stays_inside() -> None:
    rng = np.random.default_rng(3)
    nodes = [node for seed in range(3) for node in make_nodes(field_of_fat(), placed_in_fat(seed))]
    filled = [node for node in nodes if node.inner]
    assert filled
    for node in filled:
        first, inside = node.parts
        assert first.solid is node.solid
        low, high = node.solid.bounds
        points = rng.uniform(low, high, (3000, 3))
        assert (node.solid.at(points[inside.solid.at(points) < 0]) < 0.1).all()


def test_the_same_seed_plants_the_same_nodes_and_another_seed_others() -> None:
    first, again, other = (placed_in_fat(seed) for seed in (1, 1, 2))
    places = [[node_seed.centre_mm.tolist() for node_seed in node_seeds] for node_seeds in (first, again, other)]
    assert places[0] == places[1] != places[2]


def test_a_node_pushed_into_an_organ_comes_out_of_it() -> None:
    organ = BodyPart("organ", "organ", HalfSpace((0, 0, 0), (1, 0, 0)), 60.0)
    node_seed, overlap = field_of_fat(organ).pushed_clear(node_at(-1.0), [], abutting=False)
    assert overlap < 0.1
    assert node_seed.centre_mm[0] > 5.0


def test_a_node_that_abuts_is_moved_onto_what_is_nearest() -> None:
    organ = BodyPart("organ", "organ", HalfSpace((0, 0, 0), (1, 0, 0)), 60.0)
    node_seed, _ = field_of_fat(organ).pushed_clear(node_at(12.0), [], abutting=True)
    assert node_seed.centre_mm[0] == pytest.approx(6.0, abs=0.7)


def test_of_two_nodes_that_overlap_the_first_keeps_its_shape_and_the_second_is_dented() -> None:
    first, second = make_nodes(field_of_fat(), [node_at(-5.0), node_at(4.0)])
    assert first.volume_mm3 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.02)
    assert second.volume_mm3 < 0.95 * first.volume_mm3
    assert not (first.solid.at(inner_points(second, 0.5)) < 0).any()


def test_contrast_brightens_nodes() -> None:
    plain, enhanced = [
        float(np.mean([node_seed.hu for node_seed in placed_in_fat(4, contrast=contrast)]))
        for contrast in (False, True)
    ]
    assert 28 <= plain <= 46
    assert 50 <= enhanced <= 85


def test_axillary_nodes_are_not_annotated_however_large() -> None:
    by_name = {station.name: station for station in STATIONS}
    node_seeds = [replace(node_at(x), station=by_name[name]) for x, name in ((-30, "left axillary"), (30, "4R"))]
    assert [node.marked for node in make_nodes(field_of_fat(), node_seeds)] == [False, True]


def test_only_stations_of_the_lobes_lie_in_the_lung() -> None:
    assert {station.name for station in STATIONS if is_in_lung(station.name)} == {"12R", "12L", "14R", "14L"}


def test_a_voxel_in_two_solids_is_labelled_as_the_first() -> None:
    grid = Geometry((20, 20, 20), np.full(3, -9.5), np.ones(3))
    a, b = (BALL.at_place((x, 0, 0)) for x in (-2.0, 2.0))
    both = label([a, b], grid)
    alone = label([a], grid) == 1
    assert (both[alone] == 1).all()
    assert (both == 2).sum() == ((label([b], grid) == 1) & ~alone).sum() > 0
