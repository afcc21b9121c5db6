from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.followup.course import FollowUp, Role
from ctlymph.followup.lineages import find_lineages
from ctlymph.followup.recist import assess_response
from ctlymph.followup.roles import read_roles, write_roles
from ctlymph.outputs.response_files import write_response
from ctlymph.outputs.response_plots import draw_curves
from followed_patient import followed, patient


class Page(HTMLParser):
    """All elements of a page, as (tag, attributes), and its text, in which hard spaces are soft."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.text = self.text.replace("\u00a0", " ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str, kind: str = "") -> int:
        return sum(name == tag and kind in (each.get("class") or "") for name, each in self.elements)


@pytest.fixture(scope="module")
def made() -> FollowUp:
    return patient()


@pytest.fixture(scope="module")
def folder(made: FollowUp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("response")
    write_response(path, made)
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "response.html").read_text(encoding="utf-8"))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- the files


def test_all_files_are_written_and_named(made: FollowUp, tmp_path: Path) -> None:
    paths = write_response(tmp_path, made)
    assert sorted(path.name for path in paths) == ["response.csv", "response.html", "response.json", "targets.csv"]
    assert all(path.stat().st_size > 0 for path in paths)


def test_the_table_has_a_row_for_every_node_at_every_visit(made: FollowUp, folder: Path) -> None:
    rows = table(folder / "response.csv")
    expected = [(visit.number, node.node) for visit in made.course.visits for node in visit.nodes]
    assert [(int(row["visit"]), int(row["node"])) for row in rows] == expected
    for row in rows:
        node = made.course.node((int(row["visit"]), int(row["node"])))
        assert float(row["short_axis_mm"]) == pytest.approx(node.sizes.short_axis.length_mm, abs=0.005)
        assert float(row["volume_mm3"]) == pytest.approx(node.sizes.volume_mm3, abs=0.05)
        assert [float(row[f"{axis}_mm"]) for axis in "xyz"] == pytest.approx(node.point_mm, abs=0.0005)


def test_the_table_tells_roles_parents_and_families(folder: Path) -> None:
    rows = {(row["visit"], row["node"]): row for row in table(folder / "response.csv")}
    assert rows["2", "5"]["parents"] == "1:1 1:2"
    assert rows["2", "7"]["parents"] == "0:3"  # not seen at the visit between
    assert [rows[key]["role"] for key in (("0", "1"), ("0", "3"), ("0", "4"), ("2", "5"), ("2", "6"), ("2", "7"))] == [
        "target",
        "non-target",
        "normal",
        "target",
        "new",
        "non-target",
    ]
    merged = {rows[key]["lineage"] for key in (("0", "1"), ("0", "2"), ("1", "1"), ("2", "5"))}
    assert merged == {"1"}
    assert rows["0", "1"]["day"] == "2024-01-10"


def test_what_the_nodes_add_makes_the_sum(made: FollowUp, folder: Path) -> None:
    rows = table(folder / "response.csv")
    for assessment in made.response.assessments:
        added = [float(row["adds_mm"]) for row in rows if row["visit"] == str(assessment.visit) and row["adds_mm"]]
        assert sum(added) == pytest.approx(assessment.sum_mm, abs=0.01)


def test_a_split_target_too_small_to_measure_shares_its_5_mm(tmp_path: Path) -> None:
    split = followed(
        [{1: ((0, 0, 0), 20)}, {1: ((-5, 0, 0), 2.2), 2: ((5, 0, 0), 2.2)}],
        {(1, 1): ((0, 1),), (1, 2): ((0, 1),)},
        [None, None],
    )
    write_response(tmp_path, split)
    assert split.response.assessments[1].sum_mm == 5
    assert [row["adds_mm"] for row in table(tmp_path / "response.csv")[1:]] == ["2.50", "2.50"]


def test_the_document_holds_everything(made: FollowUp, folder: Path) -> None:
    document = json.loads((folder / "response.json").read_text(encoding="utf-8"))
    assert document["notice"] == "For research use, not for diagnosis"
    assert document["roles"] == {"1": "target", "2": "target", "3": "non-target", "4": "normal"}
    assert [visit["assessment"]["category"] for visit in document["visits"]] == [None, "PR", "PD"]
    for visit, assessment in zip(document["visits"], made.response.assessments, strict=True):
        assert visit["assessment"]["sum_mm"] == assessment.sum_mm
        assert visit["assessment"]["adds_mm"] == {str(key): value for key, value in assessment.adds_mm.items()}
        assert visit["assessment"]["reasons"] == list(assessment.reasons)
    (merged,) = [node for node in document["visits"][2]["nodes"] if node["node"] == 5]
    assert merged["parents"] == [[1, 1], [1, 2]]
    assert "long_axis" in merged["sizes"]
    assert document["lineages"][0] == {
        "lineage": 1,
        "title": "Targets 1 and 2",
        "kind": "target",
        "nodes": [[0, 1], [0, 2], [1, 1], [1, 2], [2, 5]],
    }


def test_families_come_in_the_order_of_what_they_are(made: FollowUp) -> None:
    titles = [lineage.title for lineage in find_lineages(made.course, made.response)]
    assert titles == ["Targets 1 and 2", "Non-target 3", "New lesion 6", "Normal node 4"]


# --- the page


def test_the_page_needs_nothing_from_outside(folder: Path, page: Page) -> None:
    links = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")]
    assert links
    assert all((link or "").startswith("data:image/jpeg;base64,") for link in links)
    html = (folder / "response.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", html)
    assert not page.count("link")
    assert not page.count("script")


def test_the_page_gives_the_category_of_every_visit_and_the_reasons(made: FollowUp, page: Page) -> None:
    for words in ("PATIENT_7", "For research use, not for diagnosis", "progressive disease", "scan 2 was turned"):
        assert words in page.text
    for assessment in made.response.assessments:
        assert f"{assessment.sum_mm:.1f}" in page.text
        for sentence in (*assessment.reasons, *assessment.remarks):
            assert sentence in page.text


def test_the_page_shows_each_node_of_each_family_and_where_none_was_found(made: FollowUp, page: Page) -> None:
    assert page.count("image") == sum(len(visit.nodes) for visit in made.course.visits)
    assert page.count("section", "strip") == 4
    # non-target 3 at scan 1, the new lesion at scans 0 and 1
    assert page.text.count("no node found") == 3


def test_pictures_of_a_family_have_one_field_of_view(folder: Path) -> None:
    html = (folder / "response.html").read_text(encoding="utf-8")
    widths = re.findall(r'viewBox="0 0 ([\d.]+) [\d.]+" role="img" aria-label="Node', html)
    assert set(widths) == {"60.0"}


def test_where_volume_disagrees_the_page_says_so_in_words(tmp_path: Path) -> None:
    # two balls of 16 melt into one of 20.2 mm and the same volume: 32 → 20.2 mm is −37 %
    melted = followed(
        [{1: ((-12, 0, 0), 16), 2: ((12, 0, 0), 16)}, {1: ((0, 0, 0), 20.2)}],
        {(1, 1): ((0, 1), (0, 2))},
        [None, None],
    )
    write_response(tmp_path, melted)
    text = Page((tmp_path / "response.html").read_text(encoding="utf-8")).text
    assert "≠ By volume: SD" in text
    assert "day not known" in text


def test_names_from_outside_cannot_put_anything_on_the_page(made: FollowUp, tmp_path: Path) -> None:
    wicked = '<script>alert("1")</script><img src=x>'
    visits = tuple(replace(visit, name=wicked) for visit in made.course.visits)
    course = replace(made.course, visits=visits)
    changed = replace(made, patient=wicked, course=course, model=wicked, trained_on=wicked, notes=(wicked,))
    write_response(tmp_path, changed)
    page = Page((tmp_path / "response.html").read_text(encoding="utf-8"))
    assert not page.count("script")
    assert not page.count("img")
    assert page.text.count(wicked) >= 6


def test_a_patient_without_nodes_has_a_page_too(tmp_path: Path) -> None:
    write_response(tmp_path, followed([{}, {}], {}, [None, None]))
    text = Page((tmp_path / "response.html").read_text(encoding="utf-8")).text
    assert "not evaluable" in text
    assert "does not mean that there is no enlarged node" in text


def test_the_same_patient_gives_the_same_bytes(made: FollowUp, folder: Path, tmp_path: Path) -> None:
    for path in write_response(tmp_path, made):
        assert path.read_bytes() == (folder / path.name).read_bytes()


# --- curves


def test_curves_join_what_merged_and_pass_0_where_nothing_was_found(made: FollowUp) -> None:
    drawn = draw_curves(made.course, made.response)
    assert [label.text for label in drawn.labels] == ["T1", "T2", "N3", "new 6"]
    assert drawn.hidden == 1
    assert sum(not dot.found for dot in drawn.dots) == 1
    ends = [line.points.split()[-1] for line in drawn.lines if line.kind == "target"]
    assert len(ends) - len(set(ends)) >= 1  # both targets end in one node
    (through,) = [
        line.points.split() for line in drawn.lines if line.kind == "non-target" and line.points.count(" ") == 2
    ]
    assert through[1].endswith(",360.0")


def test_the_axis_of_time_is_true_to_scale_where_days_are_known(made: FollowUp) -> None:
    drawn = draw_curves(made.course, made.response)
    xs = [column.x for column in drawn.columns]
    assert drawn.to_scale
    assert (xs[1] - xs[0]) / (xs[2] - xs[0]) == pytest.approx(62 / 146)
    visits = tuple(replace(visit, day=None) for visit in made.course.visits)
    course = replace(made.course, visits=visits)
    unknown = draw_curves(course, assess_response(course))
    assert not unknown.to_scale
    assert np.ptp(np.diff([column.x for column in unknown.columns])) == pytest.approx(0)


# --- roles


def test_roles_come_back_as_they_were_written(made: FollowUp, tmp_path: Path) -> None:
    nodes = made.course.visits[0].nodes
    roles = {1: Role.TARGET, 2: Role.LEFT_OUT, 3: Role.TARGET, 4: Role.NORMAL}
    write_roles(tmp_path / "targets.csv", nodes, roles)
    assert read_roles(tmp_path / "targets.csv", nodes) == roles
    (tmp_path / "short.csv").write_text(
        "\ufeffrole,node\n target ,1\nnormal,4\nnon-target,2\nleft out,3\n", encoding="utf-8"
    )
    assert read_roles(tmp_path / "short.csv", nodes)[3] is Role.LEFT_OUT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node,role\n1,target\n2,target\n3,non-target\n4,normal\n9,normal\n", "line 6: the baseline has no node '9'"),
        ("node,role\n1,Target\n2,target\n3,non-target\n4,normal\n", "line 2: 'Target' is no role"),
        ("node,role\n1,target\n2\n3,non-target\n4,normal\n", "line 3: '' is no role"),
        ("node,role\n1,target\n2,target\n3,non-target\n4,target\n", "line 5: node 4 has a short axis of 8.06 mm"),
        ("node,role\n1,target\n1,normal\n2,target\n3,normal\n4,normal\n", "line 3: node 1 has a role already"),
        ("node,role\n1,target\n4,normal\n", "no role for node 2, 3"),
        ("node;role\n1;target\n", "has no column node, role"),
        ("node\n1\n", "no column role"),
    ],
)
def test_roles_that_cannot_be_are_refused(made: FollowUp, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "targets.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CtlymphError) as caught:
        read_roles(path, made.course.visits[0].nodes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_than_five_targets_are_refused_and_five_are_not(made: FollowUp, tmp_path: Path) -> None:
    nodes = [replace(made.course.visits[0].nodes[0], node=number) for number in range(1, 7)]
    path = tmp_path / "targets.csv"
    write_roles(path, nodes, dict.fromkeys(range(1, 7), Role.TARGET))
    with pytest.raises(CtlymphError, match="names 6 targets"):
        read_roles(path, nodes)
    write_roles(path, nodes[:5], dict.fromkeys(range(1, 6), Role.TARGET))
    assert len(read_roles(path, nodes[:5])) == 5


def test_a_file_of_roles_that_is_not_there_or_no_text_is_refused(made: FollowUp, tmp_path: Path) -> None:
    nodes = made.course.visits[0].nodes
    with pytest.raises(CtlymphError, match="cannot read"):
        read_roles(tmp_path / "none.csv", nodes)
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(CtlymphError, match="cannot read"):
        read_roles(tmp_path / "odd.csv", nodes)
