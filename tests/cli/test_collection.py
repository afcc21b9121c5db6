from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ctlymph.cli.main import app
from ctlymph.core.errors import CtlymphError


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["collection", *map(str, arguments)], catch_exceptions=False)


def test_stats_prints_the_figures_of_the_collections_page() -> None:
    text = run("stats").stdout
    for figure in ("participants\t176", "series\t352", "images\t110,179\t58.4 GB", "388 annotated", "595 annotated"):
        assert figure in text
    figures = json.loads(run("stats", "--json").stdout)
    assert figures["bytes"] == 58_415_125_292
    assert [version["month"] for version in figures["versions"]][::4] == ["2015-03", "2023-03"]


def test_list_filters_and_prints_in_three_forms() -> None:
    asked = ("list", "--region", "abdomen", "--short-axis", "30-", "--without", "shared_scan")
    names = ["ABD_LYMPH_016", "ABD_LYMPH_020", "ABD_LYMPH_073", "ABD_LYMPH_084"]
    lines = run(*asked).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["case", *names]
    assert [row["case"] for row in csv.DictReader(io.StringIO(run(*asked, "--csv").stdout))] == names
    rows = json.loads(run(*asked, "--json").stdout)
    assert rows[0]["largest_mm"] == 38.9
    assert [row["case"] for row in rows] == names


def test_list_of_nothing_still_names_its_columns() -> None:
    assert run("list", "--nodes", "100-", "--csv").stdout.startswith("case,region,")


def test_list_answers_sql() -> None:
    answer = run("list", "--sql", "SELECT modality, sum(files) AS files FROM series GROUP BY modality", "--json")
    assert json.loads(answer.stdout) == [{"modality": "CT", "files": 110_003}, {"modality": "SEG", "files": 176}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cases", "MED_LYMPH_001,MED_LYMPH_999"), "no case MED_LYMPH_999"),
        (("--flag", "odd"), "no flag odd"),
    ],
)
def test_what_the_collection_does_not_have_is_said(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CtlymphError, match=message):
        run("list", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--age", "60-50"), "Invalid value for --age: '60-50' is no range"),
        (("--age", "old"), "Invalid value for --age: 'old' is no range"),
        (("--nodes", "-"), "Invalid value for --nodes: '-' is no range"),
        (("--region", "neck"), "'neck' is not one of 'mediastinum', 'abdomen'"),
        (("--sql", "SELECT 1", "--sex", "F"), "write the other conditions into the query"),
        (("--csv", "--json"), "choose one of --csv and --json"),
        (("--cases", ""), "Invalid value for --cases: it names no case"),
        (("--cases", " , "), "Invalid value for --cases: it names no case"),
    ],
)
def test_what_an_option_cannot_mean_is_a_usage_error(arguments: tuple[str, ...], message: str) -> None:
    result = run("list", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(("text", "number"), [("40-60", 89), ("40–60", 89), ("-40", 32), ("61-", 55), ("73", 3)])
def test_ranges_hold_both_ends(text: str, number: int) -> None:
    assert len(json.loads(run("list", "--age", text, "--json").stdout)) == number


def test_cite_prints_text_and_bibtex() -> None:
    assert "https://doi.org/10.7937/K9/TCIA.2015.AQIIDCNM" in run("cite").stdout
    assert run("cite", "--bibtex").stdout.startswith("@misc{ct_lymph_nodes,")


def test_verify_counts_what_is_whole_and_what_is_not_and_fails(tmp_path: Path) -> None:
    (tmp_path / "MED_LYMPH_001_lymphnodes_physicalPoints.txt").write_text("1 2 3\n4 5 6\n")
    asked = ("verify", tmp_path, "--cases", "MED_LYMPH_001,MED_LYMPH_002", "--what", "annotations, masks")
    result = CliRunner().invoke(app, ["collection", *map(str, asked)])
    assert isinstance(result.exception, CtlymphError)
    assert "4 of 4 are not whole, the first annotations of MED_LYMPH_001 (altered)" in str(result.exception)
    assert "annotations\t0\t1\t0\t1\nmasks\t0\t2\t0\t0" in result.stdout
    here = CliRunner().invoke(app, ["collection", *map(str, asked), "--here", "--json"])
    assert [(each["data_type"], each["state"]) for each in json.loads(here.stdout)] == [("annotations", "altered")]


def test_odd_answers_of_sql_are_still_json() -> None:
    answer = run("list", "--sql", "SELECT x'00' AS a, 1e999 AS b, 1 AS a", "--json")
    assert json.loads(answer.stdout) == [{"a": "b'\\x00'", "b": "inf", "a_2": 1}]


def test_nothing_here_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "MED_LYMPH_001_lymphnodes_physicalPoints.txt").write_text("1 2 3\n")
    with pytest.raises(CtlymphError, match="holds nothing of what was asked for"):
        run("verify", tmp_path, "--here", "--what", "ct")
