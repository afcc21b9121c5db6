"""Series from a service that fails in every way that it may: right files in the end, or a clear error."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from fake_series import FakeSeries, make_ct
from nbia_server import (
    Fault,
    Member,
    Nbia,
    answers,
    checksums,
    drops,
    ends_early,
    floods,
    members,
    sends,
    serving,
    slices,
    stalls,
)

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
from ctlymph.datasets.ct_lymph_nodes.download.nbia import NbiaSource
from ctlymph.datasets.ct_lymph_nodes.download.web import Patience

TRIES = 4


@pytest.fixture
def fake(tmp_path: Path) -> FakeSeries:
    return make_ct(tmp_path / "served")


@pytest.fixture
def nbia(fake: FakeSeries) -> Iterator[Nbia]:
    with serving(fake) as server:
        yield server


class Waits(list[float]):
    """Notes the pauses instead of making them."""

    def source(self, nbia: Nbia, silent_s: float = 10.0) -> NbiaSource:
        patience = Patience(tries=TRIES, first_wait_s=1.0, longest_wait_s=60.0, silent_s=silent_s, sleep=self.append)
        return NbiaSource(nbia.base_url, patience)


def fetch(source: NbiaSource, series: Series, tmp_path: Path) -> dict[str, str]:
    """Fetch into a folder, and see that the answer is true of what lies there."""
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    arrived: list[int] = []
    md5s = source.fetch(series, into, arrived.append)
    assert sum(arrived) > 0
    assert {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in into.iterdir()} == md5s
    return md5s


def assert_refused(source: NbiaSource, series: Series, tmp_path: Path) -> str:
    """Fetch in vain, see that nothing is left anywhere, and give the reason."""
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(CtlymphError) as caught:
        source.fetch(series, into, lambda count: None)
    assert set(tmp_path.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_gives_the_slices_and_their_md5s_but_neither_licence_nor_list(
    fake: FakeSeries, nbia: Nbia, tmp_path: Path
) -> None:
    md5s = fetch(Waits().source(nbia), fake.series, tmp_path)
    assert list(md5s) == [f"1-{number:03d}.dcm" for number in range(1, 5)]
    assert sorted(md5s.values()) == sorted(fake.md5s().values())
    assert nbia.images_asked(fake) == 1


def test_says_who_asks(fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    fetch(Waits().source(nbia), fake.series, tmp_path)
    assert [agent.rpartition("/")[0] for agent in nbia.agents] == ["ctlymph"]


def test_is_polite() -> None:
    assert NbiaSource().at_once == 2


def in_folders(fake: FakeSeries) -> list[Member]:
    files = [(f"MED/{name}", content) for name, content in slices(fake)]
    return [*files, checksums(files)]


def test_takes_slices_out_of_folders(fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    nbia.misbehave(fake, sends(in_folders))
    assert sorted(fetch(Waits().source(nbia), fake.series, tmp_path).values()) == sorted(fake.md5s().values())


def test_what_lay_in_the_folder_goes_when_the_series_has_come(fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "1-001.dcm").write_bytes(b"half")
    (tmp_path / "into" / "of_another_source.dcm").write_bytes(b"whole")
    assert len(fetch(Waits().source(nbia), fake.series, tmp_path)) == 4


def test_what_lay_in_the_folder_stays_when_the_series_cannot_be_had(
    fake: FakeSeries, nbia: Nbia, tmp_path: Path
) -> None:
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "of_another_source.dcm").write_bytes(b"whole")
    nbia.misbehave(fake, *[answers(503)] * TRIES)
    assert_refused(Waits().source(nbia), fake.series, tmp_path)
    assert (tmp_path / "into" / "of_another_source.dcm").read_bytes() == b"whole"


def without_two(fake: FakeSeries) -> list[Member]:
    files = slices(fake)[:2]
    return [*files, checksums(files)]


def without_list(fake: FakeSeries) -> list[Member]:
    return members(fake)[:-1]


def with_a_slice_not_listed(fake: FakeSeries) -> list[Member]:
    return [*slices(fake), checksums(slices(fake)[1:])]


def with_a_slice_listed_twice(fake: FakeSeries) -> list[Member]:
    name, content = slices(fake)[0]
    return [*slices(fake), checksums([*slices(fake), (name, content + b"other")])]


def with_a_wrong_slice(fake: FakeSeries) -> list[Member]:
    (first, content), *rest = slices(fake)
    return [(first, content[:-1] + bytes([content[-1] ^ 1])), *rest, checksums(slices(fake))]


HTML = "<!DOCTYPE html><title>Down for maintenance</title>"
PASSING: dict[str, tuple[Fault, str]] = {
    "overloaded": (answers(429, "Too many requests"), "429 (Too many requests)"),
    "at fault": (
        answers(500, "java.lang.NullPointerException\n\tat gov.nih"),
        "500 (java.lang.NullPointerException at",
    ),
    "down": (answers(503), "503"),
    "gateway": (answers(504, "x" * 10**6), "504 (xxx"),
    "dropped": (drops, "the connection broke"),
    "cut": (ends_early, "damaged archive (File is not a zip file)"),
    "short": (sends(without_two), "2 of 4 files"),
    "no list": (sends(without_list), "no md5hashes.csv"),
    "not listed": (sends(with_a_slice_not_listed), "1-001.dcm is not in md5hashes.csv"),
    "listed twice": (sends(with_a_slice_listed_twice), "1-001.dcm has another MD5"),
    "wrong MD5": (sends(with_a_wrong_slice), "1-001.dcm has another MD5"),
    "web page": (answers(200, HTML), "no archive but '<!DOCTYPE html>"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_is_overcome(name: str, fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    waits = Waits()
    nbia.misbehave(fake, *[PASSING[name][0]] * (TRIES - 1))
    assert sorted(fetch(waits.source(nbia), fake.series, tmp_path).values()) == sorted(fake.md5s().values())
    assert waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_stays_is_told_in_the_end(name: str, fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    waits = Waits()
    nbia.misbehave(fake, *[PASSING[name][0]] * TRIES)
    reason = assert_refused(waits.source(nbia), fake.series, tmp_path)
    assert PASSING[name][1] in reason
    assert "MED_LYMPH_001" in reason
    assert len(reason) < 400
    assert nbia.images_asked(fake) == TRIES


def test_a_stalled_connection_is_left(fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    nbia.misbehave(fake, stalls)
    assert len(fetch(Waits().source(nbia, silent_s=0.3), fake.series, tmp_path)) == 4
    nbia.misbehave(fake, *[stalls] * TRIES)
    assert "silent" in assert_refused(Waits().source(nbia, silent_s=0.1), fake.series, tmp_path)


def test_a_slow_connection_is_waited_for(fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    nbia.pause_s = 0.3
    assert len(fetch(Waits().source(nbia, silent_s=0.8), fake.series, tmp_path)) == 4
    assert nbia.images_asked(fake) == 1


def test_a_server_that_is_not_there_is_told(fake: FakeSeries, tmp_path: Path) -> None:
    with serving() as nbia:
        pass
    waits = Waits()
    assert "cannot connect" in assert_refused(waits.source(nbia), fake.series, tmp_path)
    assert len(waits) == TRIES - 1


def test_waits_as_long_as_the_server_asks(fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    waits = Waits()
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    late = [answers(429, Retry_After="17"), answers(503, Retry_After=date), answers(503, Retry_After="soon")]
    nbia.misbehave(fake, *late)
    fetch(waits.source(nbia), fake.series, tmp_path)
    assert waits[0] == 17.0
    assert 30.0 < waits[1] <= 40.0
    assert waits[2] == 4.0


def test_does_not_wait_for_hours(fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    waits = Waits()
    nbia.misbehave(fake, answers(429, Retry_After="7200"))
    assert "wait 7200 s" in assert_refused(waits.source(nbia), fake.series, tmp_path)
    assert waits == []


def with_name(name: str) -> Fault:
    return sends(lambda fake: [*members(fake), (name, b"evil")])


def with_link(fake: FakeSeries) -> list[Member]:
    info = zipfile.ZipInfo("1-005.dcm")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return [*members(fake), (info, b"/etc/passwd")]


def with_bomb(fake: FakeSeries) -> list[Member]:
    return [*members(fake), ("1-005.dcm", bytes(50_000_000))]


def with_one_more(fake: FakeSeries) -> list[Member]:
    files = [*slices(fake), ("1-005.dcm", slices(fake)[0][1])]
    return [*files, checksums(files)]


def with_another_size(fake: FakeSeries) -> list[Member]:
    (first, content), *rest = slices(fake)
    files = [(first, content + b"\0\0"), *rest]
    return [*files, checksums(files)]


def with_one_name_in_two_folders(fake: FakeSeries) -> list[Member]:
    files = [(f"{number}/1.dcm", content) for number, (_, content) in enumerate(slices(fake))]
    return [*files, checksums(files)]


REFUSED: dict[str, tuple[Fault, str]] = {
    "nothing found": (answers(200), "NBIA has no series 61.7.1001.1"),
    "refused": (answers(400, "Invalid\nrequest" + "!" * 1000), "400 (Invalid request!!!"),
    "forbidden": (answers(403), "answered 403"),
    "flood": (floods, "sends more than the"),
    "parent": (with_name("../1-005.dcm"), "'../1-005.dcm' would be written outside"),
    "absolute": (with_name("/tmp/1-005.dcm"), "absolute"),
    "link": (sends(with_link), "'1-005.dcm' is a link"),
    "bomb": (sends(with_bomb), "would unpack to more than"),
    "more": (sends(with_one_more), "with 5 files, not 4"),
    "same names": (sends(with_one_name_in_two_folders), "same name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_fault_that_no_new_try_mends_is_told_at_once(name: str, fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    waits = Waits()
    nbia.misbehave(fake, REFUSED[name][0])
    reason = assert_refused(waits.source(nbia), fake.series, tmp_path)
    assert REFUSED[name][1] in reason
    assert len(reason) < 500
    assert (waits, nbia.images_asked(fake)) == ([], 1)


def test_files_that_the_service_vouches_for_may_differ_in_size_from_the_catalogue(
    fake: FakeSeries, nbia: Nbia, tmp_path: Path
) -> None:
    nbia.misbehave(fake, sends(with_another_size))
    assert len(fetch(Waits().source(nbia), fake.series, tmp_path)) == 4


def test_a_series_that_the_server_does_not_know_is_told(nbia: Nbia, tmp_path: Path) -> None:
    other = make_ct(tmp_path / "other", number=2)
    assert "400 (Invalid SeriesInstanceUID)" in assert_refused(Waits().source(nbia), other.series, tmp_path)


def test_describes_a_series_that_no_catalogue_has(fake: FakeSeries, nbia: Nbia) -> None:
    described = Waits().source(nbia).describe_series(fake.series.series_uid)
    assert described == Series(**{**vars(fake.series), "crdc_series_uuid": "", "collection_version": 0})


def test_a_described_series_can_be_fetched(fake: FakeSeries, nbia: Nbia, tmp_path: Path) -> None:
    source = Waits().source(nbia)
    assert len(fetch(source, source.describe_series(fake.series.series_uid), tmp_path)) == 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "has no series"),
        ("[]", "not about one series"),
        ("{}", "not about one series"),
        ("[3]", "not about one series"),
        ("[{}, {}]", "not about one series"),
        ("<html>", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('[{"Modality": "CT", "StudyInstanceUID": "1.2"}]', "in full ('PatientID')"),
        ("[0" + " " * (17 << 20) + "]", "sends more than"),
    ],
)
def test_a_description_that_is_none_is_told(answer: str, reason: str, fake: FakeSeries, nbia: Nbia) -> None:
    nbia.misbehave(fake, answers(200, answer))
    with pytest.raises(CtlymphError) as caught:
        Waits().source(nbia).describe_series(fake.series.series_uid)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "size",
    [
        '"ObjectCount": "4"',
        '"ObjectCount": "x", "TotalSizeInBytes": "9"',
        '"ObjectCount": null, "TotalSizeInBytes": "9"',
        '"ObjectCount": "4", "TotalSizeInBytes": "Infinity"',
    ],
)
def test_a_size_that_is_none_is_told(size: str, fake: FakeSeries, nbia: Nbia) -> None:
    about = '[{"Modality": "CT", "StudyInstanceUID": "1.2", "PatientID": "MED"}]'
    nbia.misbehave(fake, answers(200, about), answers(200, f"[{{{size}}}]"))
    with pytest.raises(CtlymphError, match="in full"):
        Waits().source(nbia).describe_series(fake.series.series_uid)


def test_a_series_without_files_is_told(fake: FakeSeries, nbia: Nbia) -> None:
    about = '[{"Modality": "CT", "StudyInstanceUID": "1.2", "PatientID": "MED"}]'
    nbia.misbehave(fake, answers(200, about), answers(200, '[{"ObjectCount": "0", "TotalSizeInBytes": "0"}]'))
    with pytest.raises(CtlymphError, match="has no files"):
        Waits().source(nbia).describe_series(fake.series.series_uid)


def test_what_is_no_uid_is_not_asked_for(nbia: Nbia) -> None:
    with pytest.raises(CtlymphError, match="is no SeriesInstanceUID"):
        Waits().source(nbia).describe_series("1.2&NewFileNames=No")
    assert not nbia.asked
