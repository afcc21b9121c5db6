from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.ct_lymph_nodes.catalogue import FLAGS, CatalogueEntry, catalogue
from ctlymph.datasets.ct_lymph_nodes.database import TABLES, Range, Selection, select, sql, statistics

ends = st.none() | st.integers(0, 90)
flags = st.lists(st.sampled_from(sorted(FLAGS)), max_size=2)


def within(value: float | None, limits: Range) -> bool:
    least, greatest = limits
    if limits == (None, None):
        return True
    return value is not None and (least is None or value >= least) and (greatest is None or value <= greatest)


def meets(entry: CatalogueEntry, wanted: Selection) -> bool:
    return (
        wanted.region in (None, entry.region)
        and wanted.sex in (None, entry.sex)
        and within(entry.age_years, wanted.age_years)
        and within(entry.slices, wanted.slices)
        and within(len(entry.short_axes_mm), wanted.nodes)
        and (
            wanted.short_axis_mm == (None, None)
            or any(length is not None and within(length, wanted.short_axis_mm) for length in entry.short_axes_mm)
        )
        and set(wanted.flags) <= entry.flags
        and not set(wanted.without_flags) & entry.flags
    )


@given(
    wanted=st.builds(
        Selection,
        region=st.sampled_from([None, "mediastinum", "abdomen"]),
        sex=st.sampled_from([None, "M", "F"]),
        age_years=st.tuples(ends, ends),
        slices=st.tuples(st.none() | st.integers(50, 800), st.none() | st.integers(50, 800)),
        nodes=st.tuples(ends, ends),
        short_axis_mm=st.tuples(ends, ends),
        flags=flags,
        without_flags=flags,
    )
)
def test_a_selection_gives_exactly_the_cases_that_meet_it(wanted: Selection) -> None:
    assert select(wanted) == [entry for entry in catalogue().entries if meets(entry, wanted)]


def test_cases_are_chosen_by_name_in_the_order_of_the_catalogue() -> None:
    assert [e.case for e in select(Selection(cases=("ABD_LYMPH_002", "MED_LYMPH_090")))] == [
        "MED_LYMPH_090",
        "ABD_LYMPH_002",
    ]


@pytest.mark.parametrize(
    "wanted",
    [Selection(cases=["MED_LYMPH_091"]), Selection(region="neck"), Selection(sex="X"), Selection(flags=["odd"])],
    ids=["case", "region", "sex", "flag"],
)
def test_what_does_not_exist_is_named(wanted: Selection) -> None:
    with pytest.raises(CtlymphError, match=r"MED_LYMPH_091|neck|X|odd"):
        select(wanted)


def test_the_figures_are_those_of_the_collections_page() -> None:
    found = statistics()
    assert (found.participants, found.studies, found.series, found.images) == (176, 176, 352, 110_179)
    assert f"{found.bytes / 1e9:.1f} GB" == "58.4 GB"
    assert (found.male, found.female) == (101, 75)
    assert found.cases == {"mediastinum": 90, "abdomen": 86}
    assert found.nodes == {"mediastinum": 388, "abdomen": 595}
    assert found.positives == {"mediastinum": 573, "abdomen": 1005}
    assert found.negatives == {"mediastinum": 3208, "abdomen": 3484}


def test_sql_answers_questions_over_all_tables() -> None:
    counts = {table: sql(f"SELECT count(*) FROM {table}").rows[0][0] for table in TABLES}
    assert counts["cases"] == 176
    assert counts["series"] == 352
    assert counts["nodes"] == 983
    assert counts["versions"] == 5
    answer = sql('SELECT region, count(*) AS n FROM nodes JOIN cases USING ("case") GROUP BY region ORDER BY n')
    assert answer.columns == ("region", "n")
    assert answer.rows == (("mediastinum", 388), ("abdomen", 595))


@pytest.mark.parametrize(
    "question",
    [
        "DELETE FROM cases",
        "INSERT INTO versions VALUES (6, 'x', 'y')",
        "DROP TABLE cases",
        "CREATE TABLE mine (a)",
        "ATTACH DATABASE '{folder}/a.db' AS a",
        "VACUUM INTO '{folder}/a.db'",
        "PRAGMA journal_mode = WAL",
        "SELECT load_extension('x')",
        "SELECT 1; SELECT 2",
        "SELECT zeroblob(2000000000)",
        "SELECT * FROM nothing",
        "what is this",
    ],
)
def test_sql_can_change_nothing_and_open_nothing(question: str, tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="use SELECT on the tables"):
        sql(question.format(folder=tmp_path))
    assert not list(tmp_path.iterdir())
