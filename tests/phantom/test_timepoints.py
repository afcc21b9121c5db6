from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import label

from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import HalfSpace, Solid
from ctlymph.phantom.nodes.growth import ChangeRates, NodeGeneration, node_generations
from ctlymph.phantom.nodes.patient_anatomy import torso
from ctlymph.phantom.nodes.placement_field import BodyPlacementField
from ctlymph.phantom.nodes.timepoints import (
    GROWN,
    LAST,
    MERGED,
    SHRUNK,
    SPLIT,
    STABLE,
    VANISHED,
    PatientTimePoint,
    follow_up,
)

SEED = 10


@pytest.fixture(scope="module")
def course() -> tuple[PatientTimePoint, ...]:
    return follow_up(SEED, 2)


def fat(seed: int) -> BodyPlacementField:
    """A patient who is all fat, so that nothing but the nodes' own course moves them."""
    physique = Physique.sampled(np.random.default_rng(seed), contrast=True)
    everywhere = BodyPart("fat", "fat", HalfSpace((0, 0, 900), (0, 0, 1)), -100.0)
    box = np.array([-160.0, -120.0, -200.0]), np.array([160.0, 60.0, 450.0])
    return BodyPlacementField(physique, (everywhere,), box, HalfSpace((0, 0, 220), (0, 0, 1)))


def voxels(*solids: Solid, step: float = 0.7) -> NDArray[np.bool_]:
    low = np.min([solid.bounds[0] for solid in solids], axis=0) - 1
    high = np.max([solid.bounds[1] for solid in solids], axis=0) + 1
    x, y, z = (np.arange(a, b, step, dtype=np.float32) for a, b in zip(low, high, strict=True))
    return np.asarray(np.any([solid.on_grid(x, y, z, 3.0) < 0 for solid in solids], axis=0))


def pieces(mask: NDArray[np.bool_]) -> list[float]:
    """Shares of the connected pieces; of less than a hundredth is what a grid breaks off at a tip."""
    sizes = np.bincount(label(mask)[0].ravel())[1:] / mask.sum()
    return [float(size) for size in sizes if size > 0.01]


def test_every_node_has_a_row_and_every_parent_exists(course: tuple[PatientTimePoint, ...]) -> None:
    assert [point.number for point in course] == [0, 1]
    for point in course:
        assert [link.node for link in point.links] == [node.node for node in point.anatomy.nodes]
        assert {link.timepoint for link in point.links} == {point.number}
        before = {link.node for link in course[point.number - 1].links} if point.number else set()
        assert {parent for link in point.links for parent in link.parents} <= before


def test_fates_agree_with_the_parents_of_the_next_scan(course: tuple[PatientTimePoint, ...]) -> None:
    for now, after in pairwise(course):
        descendants = Counter(parent for link in after.links for parent in link.parents)
        shared = {parent for link in after.links if len(link.parents) > 1 for parent in link.parents}
        for link in now.links:
            assert (link.outcome == VANISHED) == (descendants[link.node] == 0)
            assert (link.outcome == SPLIT) == (descendants[link.node] == 2)
            assert (link.outcome == MERGED) == (link.node in shared)
    assert {link.outcome for link in course[-1].links} == {LAST}


def test_nodes_that_grew_are_larger_and_those_that_shrank_smaller(course: tuple[PatientTimePoint, ...]) -> None:
    for now, after in pairwise(course):
        for link in now.links:
            descendants = [one for one in after.links if one.parents == (link.node,)]
            if link.outcome == GROWN:
                assert descendants[0].short_axis_mm > 1.1 * link.short_axis_mm
            elif link.outcome == SHRUNK:
                assert descendants[0].short_axis_mm < 0.9 * link.short_axis_mm
            elif link.outcome == STABLE:
                assert descendants[0].short_axis_mm == pytest.approx(link.short_axis_mm, rel=0.11)


def test_nodes_merge_split_vanish_appear_grow_and_shrink() -> None:
    seen = set()
    for seed in range(4):
        first, second = node_generations(seed, fat(seed), 2, ChangeRates(vanish=0.3))
        descendants = Counter(parent for parents in second.parents for parent in parents)
        seen |= {"vanished"} if len(descendants) < len(first.node_seeds) else set()
        seen |= {"split"} if 2 in descendants.values() else set()
        for node_seed, parents in zip(second.node_seeds, second.parents, strict=True):
            seen |= {("appeared", "", "merged")[len(parents)]}
            if len(parents) == 1 and descendants[parents[0]] == 1:
                size = node_seed.radius_mm / first.node_seeds[parents[0]].radius_mm
                seen |= {"grown"} if size > 1.1 else {"shrunk"} if size < 0.9 else {"stable"}
    assert seen >= {"vanished", "split", "appeared", "merged", "grown", "shrunk", "stable"}


def test_the_same_node_lies_at_nearly_the_same_place_though_the_patient_lies_differently(
    course: tuple[PatientTimePoint, ...],
) -> None:
    shifts = []
    for now, after in pairwise(course):
        places = {node.node: np.array(node.centre_mm) for node in now.anatomy.nodes}
        for link, node in zip(after.links, after.anatomy.nodes, strict=True):
            if len(link.parents) == 1 and now.links[link.parents[0] - 1].outcome in (STABLE, GROWN, SHRUNK):
                shifts.append(float(np.linalg.norm(places[link.parents[0]] - node.centre_mm)))
    assert 0.5 < np.median(shifts) < 8
    assert np.percentile(shifts, 90) < 15


def test_a_torso_at_a_time_point_is_that_of_the_course(course: tuple[PatientTimePoint, ...]) -> None:
    alone = torso(SEED, timepoint=1)
    assert [node.centre_mm for node in alone.nodes] == [node.centre_mm for node in course[1].anatomy.nodes]
    assert [part.name for part in alone.parts] == [part.name for part in course[1].anatomy.parts]


def test_nodes_of_a_patient_are_single_pieces(course: tuple[PatientTimePoint, ...]) -> None:
    for point in course:
        for node in point.anatomy.nodes:
            assert len(pieces(voxels(node.solid))) == 1


def test_a_patient_who_is_scanned_never_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one scan, not 0"):
        follow_up(1, 0)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000))
def test_a_merged_node_is_one_piece_and_a_split_one_two(seed: int) -> None:
    first, second = node_generations(seed, fat(seed), 2, ChangeRates(merge=1.0, split=1.0, vanish=0.0, appear=0.0))
    assert first.parents == ((),) * len(first.node_seeds)
    for node_seed, parents in zip(second.node_seeds, second.parents, strict=True):
        assert len(pieces(voxels(node_seed.solid, step=1.0 if node_seed.marked else 0.4))) == 1, parents
        if len(parents) == 2:
            a, b = (voxels(first.node_seeds[parent].solid).sum() for parent in parents)
            assert voxels(node_seed.solid).sum() > 0.8 * max(a, b)
    halves = _halves(second)
    for a, b in halves:
        assert len(pieces(voxels(second.node_seeds[a].solid, second.node_seeds[b].solid))) == 2
    assert len(halves) <= 1


def _halves(generation: NodeGeneration) -> list[tuple[int, int]]:
    of: dict[int, list[int]] = {}
    for number, parents in enumerate(generation.parents):
        for parent in parents:
            of.setdefault(parent, []).append(number)
    return [(descendants[0], descendants[1]) for descendants in of.values() if len(descendants) == 2]


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 2))
def test_the_first_scans_do_not_depend_on_how_many_follow(seed: int, count: int) -> None:
    field = fat(seed)
    shorter, longer = node_generations(seed, field, count), node_generations(seed, field, count + 1)
    for a, b in zip(shorter, longer, strict=False):
        assert a.parents == b.parents
        assert [node_seed.centre_mm.tolist() for node_seed in a.node_seeds] == [
            node_seed.centre_mm.tolist() for node_seed in b.node_seeds
        ]


def test_annotated_nodes_come_first_at_every_scan(course: tuple[PatientTimePoint, ...]) -> None:
    for point in course:
        marked = [node.marked for node in point.anatomy.nodes]
        assert marked == sorted(marked, reverse=True)
