"""What a download does with what a source gives it, with too little room, and when it is killed."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import downloader
import pytest
from fake_bucket import Bucket
from fake_series import FakeSeries, make_ct, make_seg

from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import Advance
from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
from ctlymph.datasets.ct_lymph_nodes.download import store as store_module
from ctlymph.datasets.ct_lymph_nodes.download import terms
from ctlymph.datasets.ct_lymph_nodes.download.run import DownloadRequest, download, plan
from ctlymph.datasets.ct_lymph_nodes.download.store import Store, md5_of


@dataclass
class FolderSource:
    """Serves series from folders; ``spoil`` may change what it has delivered."""

    fakes: list[FakeSeries]
    spoil: Callable[[Series, Path], None] | None = None
    name: str = "folder"
    at_once: int = 2
    fetched: list[Series] = field(default_factory=list)

    def fetch(self, series: Series, into: Path, advance: Callable[[int], None]) -> dict[str, str]:
        self.fetched.append(series)
        (fake,) = (fake for fake in self.fakes if fake.series == series)
        for path in fake.paths():
            shutil.copy(path, into)
            advance(path.stat().st_size)
        if self.spoil:
            self.spoil(series, into)
        return fake.md5s()


class Count:
    """Adds up what it is told, and in which threads."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.threads: set[int] = set()

    @contextmanager
    def task(self, description: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
        def advance(steps: int) -> None:
            self.done += steps
            self.threads.add(threading.get_ident())

        self.total += total
        yield advance


@pytest.fixture
def fakes(tmp_path: Path) -> list[FakeSeries]:
    served = tmp_path / "served"
    return [make_ct(served, 1, 3), make_seg(served, 1), make_ct(served, 2, 5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    terms.accept(tmp_path / "data")
    return tmp_path / "data"


def request(folder: Path, fakes: list[FakeSeries]) -> DownloadRequest:
    return DownloadRequest(folder, tuple(fake.series for fake in fakes))


def whole_files(folder: Path, fakes: list[FakeSeries]) -> set[str]:
    """Give the names of files that are whole, in staging or in their place."""
    md5s = {name: md5 for fake in fakes for name, md5 in fake.md5s().items()}
    return {path.name for path in folder.rglob("*.dcm") if md5s[path.name] == md5_of(path)}


def test_everything_arrives_with_checksums_and_terms_beside_it(fakes: list[FakeSeries], folder: Path) -> None:
    outcome = download(request(folder, fakes), FolderSource(fakes))
    assert {*outcome.fetched} == {fake.series for fake in fakes}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    series = {f"ct_lymph_nodes/{place}" for place in series_files(fakes)}
    sums = {f"checksums/{name}.md5" for name in ("MED_LYMPH_001_CT", "MED_LYMPH_001_SEG", "MED_LYMPH_002_CT")}
    assert found - {".partial/lock"} == series | sums | {"LICENSE.txt", "CITATION.txt", "CITATION.bib"}
    assert whole_files(folder, fakes) == {path.name for fake in fakes for path in fake.paths()}


def series_files(fakes: list[FakeSeries]) -> set[str]:
    return {
        f"{each.case}/{each.study_uid}/{each.modality}_{each.series_uid}/{path.name}"
        for fake in fakes
        for each in [fake.series]
        for path in fake.paths()
    }


def test_what_is_complete_is_not_fetched_again(fakes: list[FakeSeries], folder: Path) -> None:
    download(request(folder, fakes[:2]), FolderSource(fakes))
    wanted = request(folder, [*fakes, *fakes])
    assert plan(wanted).missing == (fakes[2].series,)
    assert plan(wanted).bytes == fakes[2].series.bytes
    source = FolderSource(fakes)
    outcome = download(wanted, source)
    assert source.fetched == [fakes[2].series]
    assert outcome.present == (fakes[0].series, fakes[1].series)


def test_progress_comes_from_one_thread_and_ends_at_the_total(fakes: list[FakeSeries], folder: Path) -> None:
    spoilt: set[Series] = set()

    def spoil(series: Series, into: Path) -> None:
        if series not in spoilt:  # so that its bytes come twice
            spoilt.add(series)
            next(into.iterdir()).write_bytes(b"")

    count = Count()
    assert not download(request(folder, fakes), FolderSource(fakes, spoil), count).failed
    assert len(spoilt) == 3
    assert count.done == count.total == sum(fake.series.bytes for fake in fakes)
    assert count.threads == {threading.get_ident()}


def test_a_series_that_stays_wrong_fails_alone(fakes: list[FakeSeries], folder: Path) -> None:
    def spoil(series: Series, into: Path) -> None:
        if series == fakes[0].series:
            next(into.iterdir()).unlink()

    outcome = download(request(folder, fakes), FolderSource(fakes, spoil))
    assert len(outcome.fetched) == 2
    (failure,) = outcome.failed
    assert failure.series == fakes[0].series
    assert "2 files came, not 3" in failure.reason


def test_a_fault_of_the_program_is_no_failed_series(fakes: list[FakeSeries], folder: Path) -> None:
    def spoil(series: Series, into: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        download(request(folder, fakes), FolderSource(fakes, spoil))


def test_nothing_is_fetched_before_the_terms_are_accepted(fakes: list[FakeSeries], tmp_path: Path) -> None:
    source = FolderSource(fakes)
    with pytest.raises(CtlymphError, match="terms"):
        download(request(tmp_path / "new", fakes), source)
    assert not source.fetched
    assert not (tmp_path / "new").exists()


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    fakes: list[FakeSeries], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(folder)._replace(free=30_000_000_000)
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda path: usage)
    huge = replace(fakes[0].series, bytes=50_000_000_000)
    source = FolderSource(fakes)
    with pytest.raises(CtlymphError, match=r"50\.5 GB are needed and 30\.0 GB are free"):
        download(DownloadRequest(folder, (huge,)), source)
    assert not source.fetched


def test_a_download_that_is_killed_at_any_moment_goes_on_with_what_was_whole(
    bucket: Bucket, tmp_path: Path, folder: Path
) -> None:
    rng = random.Random(11)
    fakes = [make_ct(tmp_path / "many", number, 15, side=48) for number in range(1, 7)]
    bucket.put(fakes)
    bucket.delay_s = lambda: rng.uniform(0, 2)
    whole: set[str] = set()
    cut_short = 0
    for _ in range(20):
        process = downloader.start(folder, fakes, bucket.url)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.communicate()
        with Store(folder).lock():  # it is free only when s5cmd has ended too
            assert not whole & bucket.got()
            assert whole <= whole_files(folder, fakes)
            whole = whole_files(folder, fakes)
            final = {path.name for path in (folder / "ct_lymph_nodes").rglob("*") if path.is_file()}
            assert final <= whole
            bucket.gets.clear()
        cut_short += 0 < len(whole) < 90
    assert cut_short > 5
    bucket.delay_s = lambda: 0.0
    _, failed = downloader.start(folder, fakes, bucket.url).communicate(timeout=60)
    assert not whole & bucket.got()
    assert failed == ""
    for fake in fakes:
        final_folder = Store(folder).place(fake.series).final
        assert {path.name: md5_of(path) for path in final_folder.iterdir()} == fake.md5s()
    assert [path.name for path in (folder / ".partial").iterdir()] == ["lock"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_download_ends_its_programs_and_leaves_only_staging(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(fakes)
    bucket.delay_s = lambda: 30.0
    process = downloader.start(folder, fakes, bucket.url)
    while not list(folder.glob(".partial/*/*.dcm*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 130
    monkeypatch.setattr(store_module, "_LOCK_PATIENCE_S", 0.0)
    with Store(folder).lock():  # which s5cmd, waiting for its first file, would still hold
        assert not (folder / "ct_lymph_nodes").exists()


def test_nothing_new_begins_while_a_killed_download_s_program_is_at_work(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_LOCK_PATIENCE_S", 0.0)
    bucket.put(fakes)
    go_on = threading.Event()
    bucket.delay_s = lambda: float(not go_on.wait(30))
    process = downloader.start(folder, fakes, bucket.url)
    while not list(folder.glob(".partial/*/*.dcm*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    with pytest.raises(CtlymphError, match="another download"), Store(folder).lock():
        pass
    go_on.set()
    monkeypatch.undo()
    with Store(folder).lock():  # with the next file that it has finished it ends, though more are waiting
        assert not (folder / "ct_lymph_nodes").exists()


def test_a_second_download_into_the_same_folder_is_refused(
    fakes: list[FakeSeries], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_LOCK_PATIENCE_S", 0.0)
    with Store(folder).lock(), pytest.raises(CtlymphError, match=r"another download is at work in .*data"):
        download(request(folder, fakes), FolderSource(fakes))
    assert not download(request(folder, fakes), FolderSource(fakes)).failed
