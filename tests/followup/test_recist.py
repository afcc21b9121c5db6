from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlymph.core.nodes import Diameter, LymphNode, Sizes
from ctlymph.followup.course import Category, Course, NodeRef, Response, Role, Visit
from ctlymph.followup.recist import assess_response, choose_roles, hypothetical_mm

Lineage = Mapping[NodeRef, tuple[NodeRef, ...]]


def node(number: int, short_mm: float, volume_mm3: float | None = None) -> LymphNode:
    """A node of a short axis; of the ball of that diameter unless a volume is given."""
    line = Diameter((0.0, 0.0, 0.0), (0.0, short_mm, 0.0), short_mm)
    ball = math.pi / 6 * short_mm**3 if volume_mm3 is None else volume_mm3
    return LymphNode(number, (0, 0, 0), (0, 0, 0), Sizes(line, line, line, line, ball, 40.0, (0, 0, 0)))


def course_of(*visits: Mapping[int, float], parents: Lineage | None = None) -> Course:
    """Short axes by number, visit by visit; a node came from that of its number just before, unless told otherwise."""
    made = [Visit(n, f"scan {n}", None, tuple(node(*each) for each in sizes.items())) for n, sizes in enumerate(visits)]
    same = {
        (n, number): ((n - 1, number),) if number in visits[n - 1] else ()
        for n in range(1, len(visits))
        for number in visits[n]
    }
    return Course(tuple(made), {**same, **(parents or {})})


def judged(*visits: Mapping[int, float], parents: Lineage | None = None) -> Response:
    return assess_response(course_of(*visits, parents=parents))


def categories(response: Response) -> list[Category | None]:
    return [each.category for each in response.assessments[1:]]


# --- roles


@pytest.mark.parametrize(
    ("short_mm", "role"),
    [
        (15.0, Role.TARGET),
        (14.9999999, Role.TARGET),  # 15 mm but for what a computer loses
        (14.9, Role.NON_TARGET),
        (10.0, Role.NON_TARGET),
        (9.9999999, Role.NON_TARGET),
        (9.9, Role.NORMAL),
    ],
)
def test_a_node_of_15_mm_is_a_target_one_of_10_mm_is_not_normal(short_mm: float, role: Role) -> None:
    assert choose_roles([node(1, short_mm)]) == {1: role}


def test_the_two_largest_nodes_are_the_targets_and_of_equal_ones_the_first() -> None:
    nodes = [node(1, 16), node(2, 30), node(3, 16), node(4, 12), node(5, 8)]
    assert choose_roles(nodes) == {
        1: Role.TARGET,
        2: Role.TARGET,
        3: Role.NON_TARGET,
        4: Role.NON_TARGET,
        5: Role.NORMAL,
    }


def test_roles_of_other_nodes_than_the_baselines_are_refused() -> None:
    with pytest.raises(ValueError, match="baseline"):
        assess_response(course_of({1: 20}), {1: Role.TARGET, 2: Role.NORMAL})
    with pytest.raises(ValueError, match="visit"):
        assess_response(Course((), {}))


def test_the_baseline_has_a_sum_and_no_category() -> None:
    (baseline,) = judged({1: 20, 2: 17.6, 3: 15}).assessments
    assert baseline.category is None
    assert baseline.by_volume is None
    assert baseline.sum_mm == baseline.nadir_mm == pytest.approx(37.6)  # 20 + 17.6; node 3 is not among the two largest
    assert baseline.reasons == ("2 targets, sum 37.6 mm; 1 non-target",)


# --- the sum


@pytest.mark.parametrize(
    ("visits", "expected"),
    [
        # 20 → 14: −6 of 20 is −30 % exactly
        ([{1: 20.0}, {1: 14.0}], ["PR"]),
        # 20 → 14.1: −29.5 %
        ([{1: 20.0}, {1: 14.1}], ["SD"]),
        # the same where floats are noisy: 0.7 × 33.3 = 23.31, in two targets
        ([{1: 16.6, 2: 16.7}, {1: 11.62, 2: 11.69}], ["PR"]),
        # 25 → 30: +20 % and +5.0 mm, both exactly
        ([{1: 25.0}, {1: 30.0}], ["PD"]),
        # 24.5 → 29.4: +20 %, but +4.9 mm
        ([{1: 24.5}, {1: 29.4}], ["SD"]),
        # 15 → 19.9: +33 %, but +4.9 mm
        ([{1: 15.0}, {1: 19.9}], ["SD"]),
        # 15 → 20: +33 % and +5 mm
        ([{1: 15.0}, {1: 20.0}], ["PD"]),
        # 30 → 35.7: +5.7 mm, but +19 %
        ([{1: 30.0}, {1: 35.7}], ["SD"]),
        # 40 → 47.9: +7.9 mm, but +19.75 %
        ([{1: 40.0}, {1: 47.9}], ["SD"]),
        # 40 → 20 (−50 %) → 26: −35 % of the baseline, but +30 % and +6 mm above the lowest
        ([{1: 40.0}, {1: 20.0}, {1: 26.0}], ["PR", "PD"]),
        # 40 → 20 → 24.9: +24.5 %, but +4.9 mm; still −38 % of the baseline
        ([{1: 40.0}, {1: 20.0}, {1: 24.9}], ["PR", "PR"]),
        # the lowest stays: 40 → 20 → 24 (+20 %, +4 mm) → 25 (+25 %, +5 mm above 20, not above 24)
        ([{1: 40.0}, {1: 20.0}, {1: 24.0}, {1: 25.0}], ["PR", "PR", "PD"]),
        # after progression the same rules: 30 → 40 (+33 %, +10) → 20.9 (−30.3 %), the lowest was 30
        ([{1: 30.0}, {1: 40.0}, {1: 20.9}], ["PD", "PR"]),
        # 20 → 9.9: all below 10 mm
        ([{1: 20.0}, {1: 9.9}], ["CR"]),
        # 20 → 10.0 is not normal: −50 %
        ([{1: 20.0}, {1: 10.0}], ["PR"]),
        # gone
        ([{1: 20.0}, {}], ["CR"]),
        # one of two gone: 20 + 16 = 36 → 20 + 0 = 20, −44 %
        ([{1: 20.0, 2: 16.0}, {1: 20.0}], ["PR"]),
        # complete response, and the non-target at 10.0 exactly: 20 → 9, −55 %
        ([{1: 20.0, 2: 12.0}, {1: 9.0, 2: 10.0}], ["PR"]),
        # the same with 9.9
        ([{1: 20.0, 2: 12.0}, {1: 9.0, 2: 9.9}], ["CR"]),
        # stable, and the non-target at 10.0
        ([{1: 20.0, 2: 12.0}, {1: 18.0, 2: 10.0}], ["SD"]),
        # two targets below 10 mm grow from 3 + 3 (5 each: 10) to 9 + 9 = 18: +80 %, +8 mm; progression goes first
        ([{1: 20.0, 2: 20.0}, {1: 3.0, 2: 3.0}, {1: 9.0, 2: 9.0}], ["CR", "PD"]),
        # too small to measure is 5 mm: 20 → 3 (5) → 9.9: +4.9 mm, and below 10
        ([{1: 20.0}, {1: 3.0}, {1: 9.9}], ["CR", "CR"]),
    ],
)
def test_the_sum_decides_between_response_and_progression(
    visits: list[dict[int, float]], expected: list[Category]
) -> None:
    assert categories(judged(*visits)) == expected


def test_reasons_give_the_figures() -> None:
    # 24.1 / 37.6 = 0.641; 30 / 24 = 1.25
    _, first = judged({1: 20, 2: 17.6}, {1: 14.1, 2: 10}).assessments
    assert first.reasons == ("sum 24.1 mm, 36 % below the baseline's 37.6 mm (30 % or more: partial response)",)
    *_, last = judged({1: 40}, {1: 24}, {1: 30}).assessments
    assert last.reasons == (
        "sum 30.0 mm, 25 % and 6.0 mm above the lowest before, 24.0 mm (20 % and 5 mm or more: progression)",
    )


def test_figures_near_a_limit_have_the_decimals_that_show_the_side() -> None:
    # 100 → 70.04: −29.96 %, which must not read as 30 %; 50 → 54.96: +4.96 mm
    assert "30.0 %" not in judged({1: 100}, {1: 70.04}).assessments[1].reasons[0]
    assert "29.96 % below" in judged({1: 100}, {1: 70.04}).assessments[1].reasons[0]
    assert "4.96 mm above" in judged({1: 20}, {1: 24.96}).assessments[1].reasons[0]


def test_what_is_too_small_to_measure_adds_5_mm_and_says_so() -> None:
    first = judged({1: 20, 2: 20}, {1: 4.2, 2: 12}).assessments[1]
    assert first.sum_mm == pytest.approx(5 + 12)
    assert first.remarks == ("target 1 has 4.2 mm left and adds 5 mm (too small to measure)",)


# --- vanished, and back


def test_a_target_that_is_back_with_9_mm_after_complete_response_adds_nothing() -> None:
    back = {(2, 1): ((0, 1),)}
    response = judged({1: 20}, {}, {1: 9.0}, parents=back)
    assert categories(response) == ["CR", "CR"]
    assert response.assessments[2].sum_mm == 0
    assert response.assessments[2].volume_mm3 == 0
    assert "not back" in response.assessments[2].remarks[0]


def test_a_target_that_is_back_with_10_mm_after_complete_response_is_progression() -> None:
    response = judged({1: 20}, {}, {1: 10.0}, parents={(2, 1): ((0, 1),)})
    assert categories(response) == ["CR", "PD"]
    assert response.assessments[2].sum_mm == 10
    assert response.assessments[2].new == ()
    assert any("target 1 had vanished and is back with 10.0 mm" in each for each in response.assessments[2].reasons)


def test_a_target_that_is_back_with_10_mm_after_partial_response_just_adds_to_the_sum() -> None:
    # 60 + 30 = 90; 50 + 0 = 50 (−44 %); 45 + 10 = 55: +10 % above 50, −39 % of 90
    response = judged({1: 60, 2: 30}, {1: 50}, {1: 45, 2: 10.0}, parents={(2, 2): ((0, 2),)})
    assert categories(response) == ["PR", "PR"]
    assert response.assessments[2].adds_mm == {1: 45, 2: 10}
    assert response.assessments[2].nadir_mm == 50


def test_a_target_that_is_back_with_9_mm_after_partial_response_adds_nothing_until_it_has_10() -> None:
    # 45 + 0, then 45 + 10, and once it is back its 9 mm count
    response = judged(
        {1: 60, 2: 30}, {1: 50}, {1: 45, 2: 9.0}, {1: 45, 2: 10.0}, {1: 45, 2: 9.0}, parents={(2, 2): ((0, 2),)}
    )
    assert [each.sum_mm for each in response.assessments] == [90, 50, 45, 55, 54]


def test_a_target_that_was_never_away_adds_what_it_has_below_10_mm() -> None:
    assert judged({1: 20, 2: 20}, {1: 9.0, 2: 12}).assessments[1].sum_mm == 21


def test_any_disease_after_complete_response_is_progression_but_not_9_point_8_to_10_point_1() -> None:
    # a non-target: 12 → 9 (CR) → 14 is 10 mm or more, and +5 mm
    assert categories(judged({1: 20, 2: 12}, {1: 8, 2: 9}, {1: 8, 2: 14})) == ["CR", "PD"]
    # 12 → 9.8 (CR) → 10.1: +0.3 mm; the target's 8 mm are −60 %
    assert categories(judged({1: 20, 2: 12}, {1: 8, 2: 9.8}, {1: 8, 2: 10.1})) == ["CR", "PR"]


# --- new lesions


@pytest.mark.parametrize(("short_mm", "category"), [(10.0, "PD"), (9.9, "PR")])
def test_a_node_from_nowhere_is_a_new_lesion_from_10_mm_on(short_mm: float, category: Category) -> None:
    # the target has −50 %: progression takes precedence
    response = judged({1: 30}, {1: 15, 7: short_mm})
    assert categories(response) == [category]
    assert response.assessments[1].new == ((7,) if category == "PD" else ())


@pytest.mark.parametrize(
    ("sizes_mm", "expected"),
    [
        ([9.8, 10.1], ["SD"]),  # +0.3 mm
        ([9.9, 14.8], ["SD"]),  # +4.9 mm
        ([9.8, 14.8], ["PD"]),  # +5.0 mm
        ([4.0, 9.9], ["SD"]),  # +5.9 mm, but below 10
        ([5.0, 10.0], ["PD"]),  # +5 mm and 10 mm
        ([9.0, 6.0, 11.0], ["SD", "PD"]),  # +5 mm above its smallest
        ([9.0, 11.5, 14.0], ["SD", "PD"]),  # little by little
    ],
)
def test_a_normal_node_counts_as_new_with_10_mm_and_5_mm_above_its_smallest(
    sizes_mm: list[float], expected: list[Category]
) -> None:
    assert categories(judged(*({1: 20.0, 2: size} for size in sizes_mm))) == expected


def test_a_normal_node_of_10_mm_that_does_not_count_as_new_is_named() -> None:
    (remark,) = judged({1: 20, 2: 9.8}, {1: 20, 2: 10.1}).assessments[1].remarks
    assert "less than 5 mm: node 2 (9.8 to 10.1 mm)" in remark


def test_a_normal_node_out_of_sight_and_seen_again_is_not_new() -> None:
    assert categories(judged({1: 20, 2: 9}, {1: 20}, {1: 20, 2: 10.5}, parents={(2, 2): ((0, 2),)})) == ["SD", "SD"]


def test_a_new_lesion_stays_progression_while_it_has_10_mm() -> None:
    response = judged({1: 30}, {1: 15, 2: 14}, {1: 15, 2: 10}, {1: 15, 2: 9}, {1: 15, 2: 10})
    assert categories(response) == ["PD", "PD", "PR", "PD"]
    assert "still there" in response.assessments[2].reasons[0]


def test_new_nodes_that_split_or_merge_stay_new() -> None:
    split = judged({1: 30}, {1: 30, 2: 18}, {1: 30, 2: 11, 3: 9}, parents={(2, 3): ((1, 2),)})
    assert split.assessments[2].new == (2,)
    merged = judged({1: 30}, {1: 30, 2: 11, 3: 9}, {1: 30, 4: 11}, parents={(2, 4): ((1, 2), (1, 3))})
    assert merged.assessments[2].new == (4,)


# --- merging and splitting


def test_two_targets_that_merge_count_once() -> None:
    # 20 + 16 = 36 → one node of 24: −33 %
    response = judged({1: 16, 2: 20}, {5: 24}, parents={(1, 5): ((0, 1), (0, 2))})
    first = response.assessments[1]
    assert categories(response) == ["PR"]
    assert first.adds_mm == {2: 24, 1: 0}
    assert first.counted == {2: (5,), 1: ()}
    assert first.remarks[0] == (
        "target 2 has merged with target 1 into node 5: its short axis of 24.0 mm counts once, for target 2"
    )


def test_a_target_that_merges_with_a_non_target_counts_whole() -> None:
    # 20 → 26: +30 % and +6 mm
    response = judged({1: 20, 2: 12}, {1: 26}, parents={(1, 1): ((0, 1), (0, 2))})
    assert categories(response) == ["PD"]
    assert response.assessments[1].adds_mm == {1: 26}
    assert "merged with non-target 2" in response.assessments[1].remarks[0]


def test_a_target_that_splits_adds_all_its_parts() -> None:
    # 30 → 12 + 9 = 21: −30 %
    response = judged({1: 30}, {1: 12, 2: 9}, parents={(1, 2): ((0, 1),)})
    assert categories(response) == ["PR"]
    assert response.assessments[1].new == ()
    assert response.assessments[1].counted == {1: (1, 2)}
    assert response.assessments[1].remarks == (
        "target 1 has split into nodes 1 and 2: the sum of their short axes counts, 21.0 mm",
    )


def test_a_part_of_one_target_that_merges_with_another_counts_once() -> None:
    # target 1 (30) → 10 and 3; part 3 merges with target 2 (20) to 22: 1 is the larger and takes both
    parents = {(1, 3): ((0, 1), (0, 2)), (1, 1): ((0, 1),)}
    first = judged({1: 30, 2: 20}, {1: 10, 3: 22}, parents=parents).assessments[1]
    assert first.adds_mm == {1: 32, 2: 0}


def test_where_volume_and_short_axes_disagree_a_remark_says_so() -> None:
    # two balls of 20 mm melt into one: 40 → 25.2 is −37 %, but the volume, and so its diameter, stays
    # and 25.2 = 20 × 2^(1/3)
    baseline = Visit(0, "a", None, (node(1, 20), node(2, 20)))
    merged = Visit(1, "b", None, (node(1, 20 * 2 ** (1 / 3)),))
    response = assess_response(Course((baseline, merged), {(1, 1): ((0, 1), (0, 2))}))
    first = response.assessments[1]
    assert first.category == "PR"
    assert first.by_volume == "SD"
    assert first.hypothetical_mm == pytest.approx(response.assessments[0].hypothetical_mm)
    assert "by the volume it would be SD, not PR" in first.remarks[-1]


def test_for_a_single_ball_volume_and_short_axis_agree_at_every_visit() -> None:
    # 40 → 20 (−50 %) → 26 (+30 %, +6 mm above the lowest) → 24.9 (+24.5 %, but +4.9 mm)
    response = judged({1: 40}, {1: 20}, {1: 26}, {1: 24.9})
    assert [each.by_volume for each in response.assessments[1:]] == categories(response) == ["PR", "PD", "PR"]


def test_the_hypothetical_diameter_of_a_ball_is_its_own() -> None:
    assert hypothetical_mm(math.pi / 6 * 20**3) == pytest.approx(20)
    assert hypothetical_mm(0) == 0


# --- without targets


@pytest.mark.parametrize(
    ("visits", "expected"),
    [
        ([{1: 12.0}, {1: 11.0}], ["non-CR/non-PD"]),
        ([{1: 12.0}, {1: 10.0}], ["non-CR/non-PD"]),
        ([{1: 12.0}, {1: 9.9}], ["CR"]),
        ([{1: 12.0}, {}], ["CR"]),
        ([{1: 12.0}, {1: 12.0, 2: 10.0}], ["PD"]),
        ([{1: 12.0}, {1: 25.0}], ["non-CR/non-PD"]),  # for a person to judge
        ([{1: 9.0}, {1: 9.0}], ["NE"]),
        ([{}, {}], ["NE"]),
        ([{}, {1: 9.9}], ["NE"]),
        ([{}, {1: 10.0}], ["PD"]),
    ],
)
def test_without_targets_only_complete_response_and_progression_are_known(
    visits: list[dict[int, float]], expected: list[Category]
) -> None:
    response = judged(*visits)
    assert categories(response) == expected
    assert response.assessments[1].by_volume == expected[0]


def test_a_non_target_that_grows_is_for_a_person_to_judge() -> None:
    # 11 → 17: +55 % and +6 mm
    response = judged({1: 20, 2: 11}, {1: 20, 2: 17})
    assert categories(response) == ["SD"]
    assert response.assessments[1].remarks == (
        "grown by 20 % and 5 mm or more: non-target 2 (11.0 to 17.0 mm); "
        "a person must judge whether this is unequivocal progression",
    )
    assert judged({1: 20, 2: 11}, {1: 20, 2: 15.9}).assessments[1].remarks == ()  # +4.9 mm
    assert judged({1: 20, 2: 11}, {1: 20, 2: 5}, {1: 20, 2: 9.9}).assessments[2].remarks == ()  # normal


def test_non_targets_that_are_not_found_or_are_back_are_named() -> None:
    # two of them go; one is back with 12 mm, the other with 9
    parents = {(2, 2): ((0, 2),), (2, 3): ((0, 3),)}
    response = judged({1: 20, 2: 11, 3: 12}, {1: 20}, {1: 20, 2: 12, 3: 9}, {1: 20, 2: 12, 3: 9}, parents=parents)
    assert categories(response) == ["SD", "SD", "SD"]
    _, away, back, last = (each.remarks for each in response.assessments)
    assert away == ("not found: non-targets 2 and 3; check whether this is so",)
    assert len(back) == 1
    assert back[0].startswith("back, after not being found at the visit before: non-target 2 (12.0 mm)")
    assert last == ()


# --- roles that a person has fixed


def test_a_node_left_out_is_never_looked_at_again() -> None:
    roles = {1: Role.TARGET, 2: Role.LEFT_OUT}
    response = assess_response(course_of({1: 20, 2: 30}, {1: 9, 2: 60}), roles)
    assert categories(response) == ["CR"]
    assert response.assessments[1].remarks == ()


def test_targets_against_the_rules_are_followed_and_named() -> None:
    roles = {1: Role.TARGET, 2: Role.TARGET, 3: Role.TARGET, 4: Role.NORMAL, 5: Role.NON_TARGET}
    response = assess_response(course_of({1: 20, 2: 18, 3: 12, 4: 11, 5: 8}), roles)
    assert response.assessments[0].sum_mm == 50
    for words in ("3 targets were chosen", "target 3 has 12.0 mm", "normal node 4 has 11.0 mm", "non-target 5 has 8.0"):
        assert any(words in remark for remark in response.assessments[0].remarks)


def test_targets_all_normal_beside_a_non_target_are_partial_response_whatever_the_sum() -> None:
    # a small target fixed by a person: 12 → 9.5 is −21 %, but complete for the targets (Eisenhauer 2009, Table 1)
    roles = {1: Role.TARGET, 2: Role.NON_TARGET}
    assert categories(assess_response(course_of({1: 12, 2: 12}, {1: 9.5, 2: 12}), roles)) == ["PR"]


# --- what holds always

lengths = st.integers(30, 500).map(lambda tenths: tenths / 10)
visits_of = st.lists(st.dictionaries(st.integers(1, 6), lengths, max_size=6), min_size=2, max_size=4)


@settings(max_examples=60, deadline=None)
@given(visits_of, st.permutations(range(1, 7)))
def test_other_numbers_for_the_nodes_change_nothing(visits: list[dict[int, float]], order: list[int]) -> None:
    if len(set(visits[0].values())) < len(visits[0]):
        return  # which of two equal nodes is the target, their numbers decide
    renamed = [{order[number - 1]: size for number, size in sizes.items()} for sizes in visits]
    before, after = judged(*visits), judged(*renamed)
    assert categories(before) == categories(after)
    assert [each.sum_mm for each in before.assessments] == pytest.approx([each.sum_mm for each in after.assessments])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(200, 400), min_size=1, max_size=2), st.integers(50, 69), st.integers(10, 30))
def test_partial_response_does_not_depend_on_the_scale(tenths: list[int], percent: int, scale: int) -> None:
    # sizes of 20 mm and more that stay at 10 mm and more, at scales of 1 to 3
    sizes = {number: size / 10 for number, size in enumerate(tenths)}
    visits = [{n: f * size * scale / 10 for n, size in sizes.items()} for f in (1.0, percent / 100)]
    assert categories(judged(*visits)) == ["PR"]


@settings(max_examples=80, deadline=None)
@given(visits_of)
def test_categories_keep_to_their_definitions(visits: list[dict[int, float]]) -> None:
    course = course_of(*visits)
    response = assess_response(course)
    followed = [number for number, role in response.roles.items() if role is not Role.NORMAL]
    for before, here in zip(response.assessments, response.assessments[1:], strict=False):
        assert here.nadir_mm <= before.nadir_mm
        assert here.nadir_mm <= before.sum_mm
        assert here.sum_mm == pytest.approx(sum(here.adds_mm.values()))
        assert here.reasons
        assert not here.new or here.category == "PD"
        assert here.category != "PR" or here.sum_mm <= 0.7 * response.assessments[0].sum_mm + 1e-6
        descendants = [descendant for number in followed for descendant in course.descendants((0, number), here.visit)]
        assert here.category != "CR" or all(
            course.node(descendant).sizes.short_axis.length_mm < 10 for descendant in descendants
        )


def test_new_lesions_that_a_detector_marked_ask_for_a_look() -> None:
    drawn = course_of({1: 20}, {1: 20, 2: 12, 3: 13})
    marked = tuple(replace(each, model="blobs") for each in drawn.visits[1].nodes)
    detected = replace(drawn, visits=(drawn.visits[0], replace(drawn.visits[1], nodes=marked)))
    assert assess_response(drawn).assessments[1].remarks == ()
    (remark,) = assess_response(detected).assessments[1].remarks
    assert remark.startswith("a detector marked new nodes 2 and 3")
    assert categories(assess_response(detected)) == categories(assess_response(drawn)) == ["PD"]
