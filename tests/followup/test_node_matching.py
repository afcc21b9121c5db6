from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.followup.course import Course, NodeRef, Visit
from ctlymph.followup.node_matching import match_nodes
from ctlymph.followup.registration import Registration
from ctlymph.measurement.axes import measure_masks

GRID = Geometry((30, 60, 70), np.array([-70.0, -60.0, -30.0]), np.array([2.0, 2.0, 2.0]))
CT = Volume(np.zeros(GRID.shape_zyx, np.int16), GRID)
POINTS = GRID.index_to_mm(np.moveaxis(np.indices(GRID.shape_zyx)[::-1], 0, -1))
Ball = tuple[float, float, float, float]
"""Centre and diameter, mm."""
STILL = Registration()


def drawn(balls: Mapping[int, Ball | Sequence[Ball]]) -> Masks:
    """Draw nodes, each one ball or several, by their labels."""
    labels = np.zeros(GRID.shape_zyx, dtype=np.uint16)
    for label, given_balls in balls.items():
        for x, y, z, diameter in np.atleast_2d(np.array(given_balls)):
            labels[np.linalg.norm(POINTS - (x, y, z), axis=-1) <= diameter / 2] = label
    return Masks(labels, GRID)


def course(*scans: Mapping[int, Ball | Sequence[Ball]], registrations: Sequence[Registration] | None = None) -> Course:
    masks = [drawn(balls) for balls in scans]
    visits = [Visit(n, str(n), None, tuple(measure_masks(CT, each))) for n, each in enumerate(masks)]
    return match_nodes(visits, masks, registrations or [STILL] * (len(scans) - 1))


def parents(*scans: Mapping[int, Ball | Sequence[Ball]]) -> dict[NodeRef, tuple[NodeRef, ...]]:
    return dict(course(*scans).parents)


def test_nodes_that_moved_grew_and_shrank_are_known_again_by_their_place() -> None:
    before = {1: (-30, 0, 0, 14), 2: (0, 0, 0, 14), 3: (30, 20, 5, 20)}
    after = {7: (2, 1, 0, 22), 8: (-29, 2, 1, 8), 9: (32, 19, 5, 18)}
    assert parents(before, after) == {(1, 7): ((0, 2),), (1, 8): ((0, 1),), (1, 9): ((0, 3),)}


def test_neighbours_are_not_exchanged_where_both_move_the_same_way() -> None:
    before = {1: (-8, 0, 0, 10), 2: (6, 0, 0, 10)}
    after = {1: (-2, 0, 0, 10), 2: (12, 0, 0, 10)}
    assert parents(before, after) == {(1, 1): ((0, 1),), (1, 2): ((0, 2),)}


@pytest.mark.parametrize("count", [2, 3])
def test_nodes_that_merge_have_one_heir_and_one_that_splits_has_several(count: int) -> None:
    apart = {n + 1: (-16.0 + 16 * n, 0.0, 0.0, 14.0 - n) for n in range(count)}
    whole = {4: [(-16.0 + 16 * n, 0.0, 0.0, 17.0) for n in range(count)]}
    assert parents(apart, whole) == {(1, 4): tuple((0, n + 1) for n in range(count))}
    assert parents(whole, apart) == {(1, n + 1): ((0, 4),) for n in range(count)}


def test_half_of_a_node_is_not_taken_for_a_neighbour_that_vanished() -> None:
    whole, neighbour = (-10, 0, 0, 48), (23.2, 0, 0, 14)
    halves = {1: (-22, 0, 0, 26), 2: (6, 0, 0, 24)}
    found = course({1: whole, 2: neighbour}, halves)
    assert found.parents == {(1, 1): ((0, 1),), (1, 2): ((0, 1),)}
    assert found.children((0, 2)) == ()
    merged = course(halves, {1: whole, 2: neighbour})
    assert merged.parents == {(1, 1): ((0, 1), (0, 2)), (1, 2): ()}


def test_a_node_that_vanished_beside_one_that_grew_has_not_merged() -> None:
    found = course({1: (0, 0, 0, 16), 2: (22, 0, 0, 12)}, {1: (0, 0, 0, 19)})
    assert found.parents == {(1, 1): ((0, 1),)}
    assert found.children((0, 2)) == ()


def test_a_new_node_has_no_parents() -> None:
    assert parents({1: (0, 0, 0, 14)}, {1: (0, 0, 0, 14), 2: (40, 20, 0, 14)})[1, 2] == ()


def test_a_node_out_of_sight_for_a_scan_is_known_again() -> None:
    shift = np.eye(4)
    shift[0, 3] = 6.0  # later places lie 6 mm further to the left in the scan before
    registrations = [Registration(shift), Registration(shift)]
    here = (0.0, 0.0, 0.0, 14.0)
    found = course({1: here, 2: (30, 0, 0, 14)}, {2: (24, 0, 0, 14)}, {3: (-12, 0, 0, 14), 2: (18, 0, 0, 14)},
                   registrations=registrations)  # fmt: skip
    assert found.parents == {(1, 2): ((0, 2),), (2, 3): ((0, 1),), (2, 2): ((1, 2),)}


def test_visits_without_nodes_are_followed_too() -> None:
    assert parents({}, {1: (0, 0, 0, 14)}) == {(1, 1): ()}
    assert parents({1: (0, 0, 0, 14)}, {}) == {}
    assert parents({}, {}) == {}
    assert parents({1: (0, 0, 0, 14)}, {}, {5: (1, 0, 0, 14)}) == {(2, 5): ((0, 1),)}


def test_numbers_that_do_not_fit_are_refused() -> None:
    masks = drawn({1: (0, 0, 0, 14)})
    visit = Visit(0, "", None, tuple(measure_masks(CT, masks)))
    with pytest.raises(ValueError, match="do not fit"):
        match_nodes([visit, visit], [masks, masks], [])
    with pytest.raises(ValueError, match="lack node 1"):
        match_nodes([visit], [drawn({})], [])


places = st.tuples(st.integers(-3, 3), st.integers(-2, 2), st.integers(-1, 1))


@settings(max_examples=20, deadline=None)
@given(st.lists(places, min_size=1, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_the_numbers_of_nodes_have_no_part_in_what_is_found(
    centres: list[tuple[int, int, int]], random: object
) -> None:
    balls = [(x * 18.0, y * 20.0, z * 22.0, 8.0 + 2 * n) for n, (x, y, z) in enumerate(centres)]
    later = [(x + 2, y - 1, z, d * 1.2) for x, y, z, d in balls]
    order = list(range(len(balls)))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain = parents(dict(enumerate(balls, start=1)), dict(enumerate(later, start=1)))
    mixed = parents({n + 1: balls[i] for n, i in enumerate(order)}, {n + 1: later[i] for n, i in enumerate(order)})
    renamed = {
        (1, order[node - 1] + 1): tuple((0, order[before - 1] + 1) for _, before in given_parents)
        for (_, node), given_parents in mixed.items()
    }
    assert renamed == plain
