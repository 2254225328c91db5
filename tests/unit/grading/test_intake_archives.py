"""Archives: what is unfolded, what is left out, and what is refused whole."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hpclab.errors import GradingError
from hpclab.grading.submissions.archives import ArchiveLimits, extract

SMALL = ArchiveLimits(file_bytes=1 << 20, entries=100, free_bytes=4 << 20, ratio=20)


def zipped(path: Path, files: dict[str, bytes], **more: object) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return path


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


GOOD = {"ada/ex01.ipynb": b"{}" * 5000, "bob/Übung.txt": b"x", "bob/empty": b""}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: zipped(path, GOOD),
        lambda path: path.write_bytes(tarred(GOOD)),
        lambda path: path.write_bytes(gzip.compress(tarred(GOOD))),
        lambda path: path.write_bytes(bz2.compress(tarred(GOOD))),
        lambda path: path.write_bytes(lzma.compress(tarred(GOOD))),
        # Several streams one after the other, as pigz and cat make them.
        lambda path: path.write_bytes(
            gzip.compress(tarred(GOOD)[:3000]) + gzip.compress(tarred(GOOD)[3000:])
        ),
    ],
)
def test_usual_archives_are_unfolded_whatever_they_are_called(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "download")
    assert extract(tmp_path / "download", tmp_path / "out") == ()
    assert files(tmp_path / "out") == GOOD


HOSTILE = {
    "../evil": "leaves the folder",
    "a/../../evil": "leaves the folder",
    "/tmp/evil": "absolute",
    "C:/evil": "Windows",
    "a\\..\\evil": "Windows",
    "a\nb": "invisible",
    "a\u202eb": "invisible",
    "x" * 250: "longer",
    "/".join("d" * 20): "deep",
}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_elsewhere_are_left_out_and_the_rest_is_there(tmp_path: Path, kind: str) -> None:
    content = {**dict.fromkeys(HOSTILE, b"evil"), "good": b"1"}
    archive = zipped(tmp_path / "a", content) if kind == "zip" else tmp_path / "a"
    if kind == "tar":
        archive.write_bytes(tarred(content))
    before = sorted(tmp_path.iterdir())
    lost = dict(extract(archive, tmp_path / "in/out"))
    assert files(tmp_path) == {"a": archive.read_bytes(), "in/out/good": b"1"}
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "in"])
    assert set(lost) == set(HOSTILE)
    assert all(why in lost[name] for name, why in HOSTILE.items())


def test_a_nul_does_not_hide_the_end_of_a_name(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"ex01.ipynb@.exe": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"ipynb@", b"ipynb\0"))
    [(name, why)] = extract(archive, tmp_path / "out")
    assert (name, why) == ("ex01.ipynb\0.exe", "its name holds a NUL")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_of_entries_that_claim_one_name_none_is_taken(tmp_path: Path, kind: str) -> None:
    """One program would show the first, another the last, a third would write one over the other."""
    names = ["n", "n", "Ex", "eX", "e\u0301", "é", "f", "f/x", "good"]
    with pytest.warns(UserWarning, match="Duplicate") if kind == "zip" else contextlib.nullcontext():
        if kind == "zip":
            with zipfile.ZipFile(tmp_path / "a", "w") as out:
                for name in names:
                    out.writestr(name, name)
        else:
            with tarfile.open(tmp_path / "a", "w") as made:
                for name in names:
                    made.addfile(tarfile.TarInfo(name))
    lost = extract(tmp_path / "a", tmp_path / "out")
    assert set(files(tmp_path / "out")) == {"f", "good"}
    assert [why for _, why in lost] == ["two entries claim this name"] * 6 + [
        "a file and a folder claim this name"
    ]


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def test_links_and_devices_in_a_zip_are_left_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as out:
        out.writestr(entry("link", stat.S_IFLNK | 0o777), "/etc/passwd")
        out.writestr(entry("link/x", stat.S_IFREG | 0o644), "through it")
        out.writestr(entry("pipe", stat.S_IFIFO | 0o644), "")
        out.writestr(entry("suid", stat.S_IFREG | 0o4755), "x")
    lost = dict(extract(tmp_path / "a", tmp_path / "out"))
    assert lost == {"link": "it is a link", "pipe": "it is not a regular file"}
    assert files(tmp_path / "out") == {"link/x": b"through it", "suid": b"x"}
    assert (tmp_path / "out/suid").stat().st_mode & 0o7000 == 0


def test_links_devices_and_sparse_files_in_a_tar_are_left_out(tmp_path: Path) -> None:
    kinds = {
        "sym": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "pipe": tarfile.FIFOTYPE,
        "device": tarfile.CHRTYPE,
        "block": tarfile.BLKTYPE,
        "odd": b"Z",
    }
    with tarfile.open(tmp_path / "a", "w") as made:
        for name, kind in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)
        made.addfile(tarfile.TarInfo("sym/inner"))
    lost = dict(extract(tmp_path / "a", tmp_path / "out"))
    assert set(lost) >= {"sym", "hard", "pipe", "device", "block"}
    assert all(data == b"" for data in files(tmp_path / "out").values())
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]


def test_a_file_over_the_cap_is_left_out_by_what_really_comes(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"big": os.urandom(2 << 20), "good": b"1"})
    assert extract(archive, tmp_path / "out", SMALL) == (("big", "it has more than 1048576 bytes"),)
    assert files(tmp_path / "out") == {"good": b"1"}


@pytest.mark.parametrize("name", ["zip", "gz", "bz2", "xz"])
def test_a_bomb_is_refused_whole_long_before_it_has_unfolded(tmp_path: Path, name: str) -> None:
    zeros = b"\0" * (64 << 20)
    if name == "zip":
        archive = zipped(tmp_path / "a", {f"z{number}": zeros[: 1 << 20] for number in range(60)})
    else:
        archive = tmp_path / "a"
        pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[name]
        archive.write_bytes(pack(tarred({"z": zeros})))
    with pytest.raises(GradingError, match="far more than its size"):
        extract(archive, tmp_path / "out", SMALL)
    assert sum(len(data) for data in files(tmp_path / "out").values()) <= 6 << 20


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """A bomb without any great ratio: the directory names one heap of bytes many times."""
    archive = zipped(tmp_path / "a", {f"f{number}": os.urandom(1000) for number in range(3)})
    data = bytearray(archive.read_bytes())
    place = data.find(b"PK\x01\x02")
    while (place := data.find(b"PK\x01\x02", place + 1)) > 0:
        struct.pack_into("<I", data, place + 42, 0)
    archive.write_bytes(data)
    with pytest.raises(GradingError, match="overlap"):
        extract(archive, tmp_path / "out")


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    many = {f"f{number}": b"" for number in range(101)}
    for data in (zipped(tmp_path / "z", many).read_bytes(), tarred(many)):
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(GradingError, match="more than 100 entries"):
            extract(tmp_path / "a", tmp_path / f"out{len(data)}", SMALL)


def test_encrypted_and_oddly_packed_entries_are_left_out(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"secret": b"x", "good": b"1"})
    data = bytearray(archive.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", data, data.find(magic) + offset, 0x1)
    archive.write_bytes(data)
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr("bz", b"x", zipfile.ZIP_BZIP2)
    lost = dict(extract(archive, tmp_path / "out"))
    assert lost == {"secret": "it is encrypted", "bz": "its compression method is not supported"}
    assert files(tmp_path / "out") == {"good": b"1"}


@pytest.mark.parametrize("declared", [0, 5, 1 << 31])
def test_a_zip_that_lies_about_sizes_gives_nothing_half(tmp_path: Path, declared: int) -> None:
    archive = zipped(tmp_path / "a", {"liar": b"x" * 5000, "good": b"1"})
    data = bytearray(archive.read_bytes())
    struct.pack_into("<I", data, data.find(b"PK\x03\x04") + 22, declared)
    struct.pack_into("<I", data, data.find(b"PK\x01\x02") + 24, declared)
    archive.write_bytes(data)
    lost = dict(extract(archive, tmp_path / "out"))
    found = files(tmp_path / "out")
    assert found.pop("good") == b"1"
    if declared < 5000:  # cut short, its checksum does not fit
        assert (lost, found) == ({"liar": "it is damaged"}, {})
    else:
        assert (lost, found) == ({}, {"liar": b"x" * 5000})


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_truncated_tars_are_refused(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = pack(tarred({"a": os.urandom(5000), "b": os.urandom(5000)}))
    for size in (len(data) // 2, len(data) // 4, 600):
        (tmp_path / "a").write_bytes(data[:size])
        with pytest.raises(GradingError, match="damaged"):
            extract(tmp_path / "a", tmp_path / f"out{size}")


def test_truncated_zips_are_refused(tmp_path: Path) -> None:
    data = zipped(tmp_path / "z", {"a": os.urandom(5000)}).read_bytes()
    for size in (10, 2000, len(data) - 10):
        (tmp_path / "a").write_bytes(data[:size])
        with pytest.raises(GradingError, match="damaged"):
            extract(tmp_path / "a", tmp_path / f"out{size}")


def header(name: bytes, size: bytes, kind: bytes) -> bytes:
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:108] = b"0000644\0"
    block[124 : 124 + len(size)] = size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "data",
    [
        # A size below zero: Python 3.11.2 would read the same header for ever.
        header(b"a", b"\xff" * 11 + b"\xfe\0"[:1], b"0") * 4 + b"\0" * 1024,
        header(b"a", b"\xff" * 12, b"x") + b"\0" * 2048,
        header(b"a", b"\xff" * 12, b"L") + b"\0" * 2048,
        # A list of attributes as large as memory, of which nothing is there.
        header(b"a", b"77777777777\0", b"x") + b"\0" * 2048,
        header(b"a", b"77777777777\0", b"L") + b"\0" * 2048,
        # A chain of lists, each about the next one.
        header(b"a", b"00000000000\0", b"x") * 3000 + b"\0" * 1024,
        # A sparse file of format 1.0 whose map never ends.
        tarred({"x": b""})[:0]
        + header(b"p", b"%011o\0" % len(b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"), b"x")
        + b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n".ljust(512, b"\0")
        + header(b"s", b"00000001000\0", b"0")
        + b"9" * 512
        + b"\0" * 1024,
    ],
)
def test_tars_that_drive_readers_in_circles_or_out_of_memory_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(GradingError, match="damaged"):
        extract(tmp_path / "a", tmp_path / "out")
    assert files(tmp_path / "out") == {}


def test_lists_that_fill_memory_are_refused(tmp_path: Path) -> None:
    """What an archive says of itself is read at once, so it may not be large."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"comment": "x" * (3 << 20)}
        made.addfile(info)
    (tmp_path / "tar").write_bytes(out.getvalue())
    with zipfile.ZipFile(tmp_path / "zip", "w") as zip_made:
        for number in range(50):
            zip_made.writestr(f"{number:0200}", "")
    caps = ArchiveLimits(directory_bytes=10_000)
    for name in ("tar", "zip"):
        with pytest.raises(GradingError, match="its lists ask for more"):
            extract(tmp_path / name, tmp_path / f"out-{name}", caps)


def test_archives_within_stay_closed(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner", {"x": b"1"}).read_bytes()
    assert extract(zipped(tmp_path / "a", {"in.zip": inner}), tmp_path / "out") == ()
    assert files(tmp_path / "out") == {"in.zip": inner}


def test_what_is_no_archive_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    with pytest.raises(GradingError, match="is not an archive of a known kind"):
        extract(tmp_path / "a", tmp_path / "out")
