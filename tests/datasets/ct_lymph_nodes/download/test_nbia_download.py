"""Whole downloads from NBIA: what a faulty service, and a process that is killed, leave in the folder."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
from pathlib import Path

import pytest
from fake_series import FakeSeries, make_ct, make_seg, slice_bytes
from nbia_server import Member, Nbia, answers, checksums, drops, ends_early, sends, serving, slices

from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
from ctlymph.datasets.ct_lymph_nodes.download import terms
from ctlymph.datasets.ct_lymph_nodes.download.nbia import NbiaSource
from ctlymph.datasets.ct_lymph_nodes.download.run import DownloadRequest, download
from ctlymph.datasets.ct_lymph_nodes.download.store import Store
from ctlymph.datasets.ct_lymph_nodes.download.web import Patience

KILLS = 20


@pytest.fixture
def fakes(tmp_path: Path) -> list[FakeSeries]:
    served = tmp_path / "served"
    return [*(make_ct(served, number, 3 + number, side=32) for number in (1, 2, 3)), make_seg(served)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    terms.accept(tmp_path / "folder")
    return tmp_path / "folder"


def source(nbia: Nbia) -> NbiaSource:
    return NbiaSource(nbia.base_url, Patience(tries=3, silent_s=5.0, sleep=lambda seconds: None))


def request(folder: Path, fakes: list[FakeSeries]) -> DownloadRequest:
    return DownloadRequest(folder, tuple(fake.series for fake in fakes))


def assert_only_right_files(folder: Path, fakes: list[FakeSeries]) -> list[FakeSeries]:
    """See that whatever has its final name is whole, right and listed, and give which series have."""
    store = Store(folder)
    complete = [fake for fake in fakes if store.place(fake.series).final.exists()]
    expected = set()
    for fake in complete:
        place = store.place(fake.series)
        there = {path: hashlib.md5(path.read_bytes()).hexdigest() for path in place.final.iterdir()}
        assert sorted(there.values()) == sorted(fake.md5s().values())
        listed = dict(reversed(line.split("  ")) for line in place.checksums.read_text().splitlines())
        assert listed == {path.relative_to(folder).as_posix(): md5 for path, md5 in there.items()}
        expected |= set(there)
    assert set((folder / "ct_lymph_nodes").rglob("*.dcm")) == expected
    return complete


def test_everything_arrives_through_every_fault(fakes: list[FakeSeries], folder: Path) -> None:
    with serving(*fakes) as nbia:
        nbia.misbehave(fakes[0], answers(500), drops)
        nbia.misbehave(fakes[1], ends_early, answers(429))
        outcome = download(request(folder, fakes), source(nbia))
    assert not outcome.failed
    assert assert_only_right_files(folder, fakes) == fakes


def test_a_series_that_cannot_be_had_leaves_the_others_alone(fakes: list[FakeSeries], folder: Path) -> None:
    with serving(*fakes) as nbia:
        nbia.misbehave(fakes[2], answers(200))
        outcome = download(request(folder, fakes), source(nbia))
    assert [failure.series for failure in outcome.failed] == [fakes[2].series]
    assert "NBIA has no series" in outcome.failed[0].reason
    assert assert_only_right_files(folder, fakes) == [*fakes[:2], fakes[3]]


def test_a_slice_of_another_patient_never_gets_its_name(fakes: list[FakeSeries], folder: Path, tmp_path: Path) -> None:
    fake = fakes[0]
    strange = slice_bytes(fake.series, 0, tmp_path / "strange.dcm", side=32, case="MED_LYMPH_002").read_bytes()

    def with_strange_slice(fake: FakeSeries) -> list[Member]:
        files = [(name, strange if number == 0 else data) for number, (name, data) in enumerate(slices(fake))]
        return [*files, checksums(files)]

    with serving(fake) as nbia:
        nbia.misbehave(fake, *[sends(with_strange_slice)] * 10)
        outcome = download(request(folder, [fake]), source(nbia))
    assert "is of another patient, MED_LYMPH_002" in outcome.failed[0].reason
    assert not Store(folder).place(fake.series).final.exists()


def test_a_download_that_is_killed_at_any_moment_goes_on_with_what_was_whole(
    fakes: list[FakeSeries], folder: Path
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__, "httpx", "pydicom", "ctlymph.datasets.ct_lymph_nodes.download.nbia"])
    chance, killed = random.Random(5), 0
    with serving(*fakes) as nbia:
        nbia.pause_s = 0.02
        while killed < KILLS:
            whole = assert_only_right_files(folder, fakes)
            if len(whole) == len(fakes):  # once more, from the start
                folder = folder.with_name(f"folder_{killed}")
                terms.accept(folder)
                whole = []
            asked = [nbia.images_asked(fake) for fake in whole]
            process = processes.Process(target=run, args=(folder, [fake.series for fake in fakes], nbia.base_url))
            process.start()
            process.join(chance.uniform(0.0, 0.6))
            process.kill()
            process.join()
            assert process.exitcode in (0, -9)
            killed += process.exitcode == -9
            assert [nbia.images_asked(fake) for fake in whole] == asked
        outcome = download(request(folder, fakes), source(nbia))
        asked = [nbia.images_asked(fake) for fake in fakes]
        again = download(request(folder, fakes), source(nbia))
    assert not outcome.failed
    assert assert_only_right_files(folder, fakes) == fakes
    assert {path.name for path in (folder / ".partial").iterdir()} == {"lock"}
    assert len(again.present) == len(fakes)
    assert [nbia.images_asked(fake) for fake in fakes] == asked


def run(folder: Path, series: list[Series], base_url: str) -> None:
    """Download in a process of its own."""
    assert not download(DownloadRequest(folder, tuple(series)), NbiaSource(base_url)).failed
