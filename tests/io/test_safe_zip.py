"""Archives that harm whoever trusts them."""

from __future__ import annotations

import hashlib
import random
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.io.safe_zip import SafeZip, ZipLimits, unpack

SLICE = random.Random(0).randbytes(3000)


def write_zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content)
    return path


def refused(archive: Path, tmp_path: Path, limits: ZipLimits | None = None) -> str:
    """Unpack, check that it is rejected and nothing is left; return the reason."""
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(CtlymphError) as caught:
        unpack(archive, tmp_path / "deep" / "into", limits or ZipLimits())
    left = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != "deep"}
    assert left == before
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)
    return str(caught.value)


def test_unpacks_every_file_and_gives_its_md5(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("LICENSE", b"CC BY"), ("deep/er/1-001.dcm", SLICE), ("./empty", b""))
    arrived: list[int] = []
    sums = unpack(archive, tmp_path / "into", advance=arrived.append)
    contents = {"LICENSE": b"CC BY", "deep/er/1-001.dcm": SLICE, "empty": b""}
    assert sums == {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    assert {name: (tmp_path / "into" / name).read_bytes() for name in sums} == contents
    assert sum(arrived) == sum(map(len, contents.values()))


def test_entries_are_read_without_unpacking(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("x/1.txt", b"12"), ("x/2.txt", SLICE * 1000))
    with SafeZip(archive) as opened:
        assert {entry.name: opened.read(entry) for entry in opened.entries} == {
            "x/1.txt": b"12",
            "x/2.txt": SLICE * 1000,
        }
        assert [entry.bytes for entry in opened.entries] == [2, 3_000_000]


def test_passes_over_folders_and_what_a_mac_leaves(tmp_path: Path) -> None:
    junk = [("x/", b""), ("__MACOSX/x/._1.txt", b"junk"), ("x/.DS_Store", b"junk")]
    assert list(unpack(write_zip(tmp_path / "a.zip", ("x/1.txt", b"1"), *junk), tmp_path / "into")) == ["x/1.txt"]


def test_unpacked_files_are_not_executable_whatever_the_archive_says(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("1.txt")
    info.external_attr = (stat.S_IFREG | 0o4777) << 16
    unpack(write_zip(tmp_path / "a.zip", (info, b"1")), tmp_path / "into")
    assert (tmp_path / "into" / "1.txt").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil", "outside its folder"),
        ("x/../../evil", "outside its folder"),
        ("__MACOSX/../../evil", "outside its folder"),
        ("/etc/evil", "absolute"),
        ("C:/evil", "absolute"),
        ("C:evil", "absolute"),
        ("1.dcm:stream", "absolute"),
        ("..\\evil", "backslashes"),
        ("x\\evil", "backslashes"),
        ("evil\n", "printed"),
        ("\x1b[2Jevil", "printed"),
        ("mcd.\u202elive", "printed"),
        (".", "none"),
    ],
)
def test_refuses_names_that_lead_elsewhere_or_deceive(name: str, reason: str, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("1.dcm", SLICE), (name, b"evil"))
    assert reason in refused(archive, tmp_path)


def test_refuses_a_name_with_a_zero_byte(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("1.dcmX.exe", SLICE))
    archive.write_bytes(archive.read_bytes().replace(b"1.dcmX.exe", b"1.dcm\0.exe"))
    assert "printed" in refused(archive, tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR])
def test_refuses_links_and_special_files(kind: int, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("1.dcm")
    info.external_attr = (kind | 0o777) << 16
    assert "'1.dcm' is a link or another special file" in refused(
        write_zip(tmp_path / "a.zip", (info, b"/etc/passwd")), tmp_path
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("1.dcm", "1.dcm"), ("1.dcm", "1.DCM"), ("x/1.dcm", "x//1.dcm"), ("\u00e9.txt", "e\u0301.txt")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_refuses_two_files_of_one_name(first: str, second: str, tmp_path: Path) -> None:
    assert "twice" in refused(write_zip(tmp_path / "a.zip", (first, b"1"), (second, b"2")), tmp_path)


def test_refuses_a_file_that_is_a_folder_too(tmp_path: Path) -> None:
    assert "also a file" in refused(write_zip(tmp_path / "a.zip", ("x", b"1"), ("x/y/z", b"2")), tmp_path)


@pytest.mark.parametrize("flag", [0x1, 0x40])
def test_refuses_encrypted_entries(flag: int, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("1.dcm", SLICE))
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= flag
    archive.write_bytes(content)
    assert "'1.dcm' is encrypted" in refused(archive, tmp_path)


def test_refuses_packings_that_cannot_be_undone_in_little_memory(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_BZIP2) as writer:
        writer.writestr("1.dcm", SLICE)
    assert "packed by method 12" in refused(archive, tmp_path)


def test_refuses_more_bytes_than_the_limit(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("1", bytes(600_000)), ("2", bytes(600_000)))
    assert "more than 1 MB, with 2" in refused(archive, tmp_path, ZipLimits(total_bytes=1_000_000))
    assert "'1' would unpack from" in refused(archive, tmp_path, ZipLimits(ratio=100))


def test_refuses_more_entries_than_the_limit(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", *((str(number), b"") for number in range(11)))
    assert "11 entries" in refused(archive, tmp_path, ZipLimits(entries=10))


def forged(archive: Path, stated: int) -> Path:
    """State another size of the only entry, in both its headers, with the CRC of what is cut to that size."""
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as reader:
        crc = zlib.crc32(reader.read(reader.infolist()[0])[:stated])
    for start, offset in ((0, 14), (content.index(b"PK\1\2"), 16)):
        struct.pack_into("<I", content, start + offset, crc)
        struct.pack_into("<I", content, start + offset + 8, stated)
    archive.write_bytes(content)
    return archive


def test_refuses_a_bomb_that_states_a_harmless_size(tmp_path: Path) -> None:
    archive = forged(write_zip(tmp_path / "a.zip", ("bomb", bytes(100_000_000))), 1000)
    with zipfile.ZipFile(archive) as reader:
        assert len(reader.read("bomb")) == 1000, "the library alone does not notice"
    assert "'bomb'" in refused(archive, tmp_path)


def test_refuses_a_file_that_holds_fewer_bytes_than_stated(tmp_path: Path) -> None:
    assert "holds fewer than the 5000 bytes" in refused(
        forged(write_zip(tmp_path / "a.zip", ("1.dcm", SLICE)), 5000), tmp_path
    )


def test_refuses_entries_that_share_their_bytes(tmp_path: Path) -> None:
    """The way of the archives that unpack 10 MB to 281 TB: many entries, one kernel."""
    archive = write_zip(tmp_path / "a.zip", ("1.dcm", SLICE))
    content = archive.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    directory = content[start:end]
    trailer = bytearray(content[end:])
    struct.pack_into("<HHI", trailer, 8, 2, 2, 2 * len(directory))
    archive.write_bytes(content[:start] + directory + directory.replace(b"1.dcm", b"2.dcm") + trailer)
    assert "overlaps" in refused(archive, tmp_path)


def test_names_the_entry_whose_checksum_is_wrong(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        writer.writestr("1.dcm", b"right")
        writer.writestr("2.dcm", SLICE)
    content = archive.read_bytes()
    archive.write_bytes(content.replace(SLICE[100:110], bytes(10)))
    assert "is damaged (entry '2.dcm': Bad CRC-32" in refused(archive, tmp_path)


@pytest.mark.parametrize("kept", [0, 3, 100, 2000, 3100])
def test_names_an_archive_that_is_cut_short(kept: int, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("1.dcm", SLICE))
    archive.write_bytes(archive.read_bytes()[:kept])
    assert f"{archive} is damaged" in refused(archive, tmp_path)


def test_names_an_archive_that_is_not_there(tmp_path: Path) -> None:
    assert "cannot read" in refused(tmp_path / "a.zip", tmp_path)


def test_an_error_of_the_caller_leaves_nothing_either(tmp_path: Path) -> None:
    def stop(steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(write_zip(tmp_path / "a.zip", ("1.dcm", SLICE)), tmp_path / "into", advance=stop)
    assert not (tmp_path / "into").exists()


def test_any_damage_is_an_error_or_harmless(tmp_path: Path) -> None:
    """A thousand archives with one byte changed: right bytes under a name of the same length, or an error."""
    archive = write_zip(tmp_path / "a.zip", ("1.dcm", SLICE[:100]), ("2.dcm", SLICE[100:150]))
    whole, chance = archive.read_bytes(), random.Random(1)
    refusals = 0
    for number in range(1000):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        archive.write_bytes(damaged)
        into = tmp_path / str(number)
        try:
            unpack(archive, into)
        except CtlymphError:
            refusals += 1
            assert not into.exists()
        else:
            contents = {path.read_bytes() for path in into.rglob("*") if path.is_file()}
            assert contents <= {SLICE[:100], SLICE[100:150]}
    assert 600 < refusals < 1000


@pytest.mark.parametrize("name", ["deep/NUL", "aux.txt", "com1", "a.", "b /c"])
def test_a_name_that_means_something_else_on_windows_is_refused(tmp_path: Path, name: str) -> None:
    archive = write_zip(tmp_path / "a.zip", (name, SLICE))
    assert "means something else on Windows" in refused(archive, tmp_path)
