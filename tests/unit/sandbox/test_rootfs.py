"""The root directory that shows only what is listed, put together for real where this user may make namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab.sandbox import rootfs

MAKE = """
import json, os, sys
from pathlib import Path
from hpclab.sandbox import kernel, rootfs
uid, gid = os.getuid(), os.getgid()
kernel.unshare(kernel.NEWUSER | kernel.NEWNS)
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
kernel.mount("none", "/", flags=kernel.PRIVATE | kernel.REC)
shown = {Path(path): f"/proc/self/fd/{os.open(path, os.O_PATH)}" for path in json.loads(sys.argv[1])}
root = Path("/mnt")
rootfs.assemble(root, shown=shown, etc={"passwd": "root:x:0:0::/:/bin/sh\\n", "a/b": "c"}, devices=json.loads(sys.argv[2]))
kernel.bind("/proc", root / "proc")
rootfs.make_read_only(root)
kernel.pivot_root(root)
"""
LOOK = """
def refused(path):
    try:
        Path(path).touch()
    except OSError as problem:
        return os.strerror(problem.errno)
    return ""
print(json.dumps({
    "top": sorted(os.listdir("/")),
    "etc": sorted(os.listdir("/etc")),
    "text": Path("/etc/a/b").read_text(),
    "shown": {path: sorted(os.listdir(path)) for path in json.loads(sys.argv[1])},
    "above": sorted(os.listdir(Path(json.loads(sys.argv[1])[0]).parent)),
    "refused": {path: refused(f"{path}/x") for path in ("/", "/etc", "/usr", "/dev", "/home", json.loads(sys.argv[1])[0])},
    "room": [refused("/tmp/x"), refused("/dev/shm/x")],
    "devices": sorted(os.listdir("/dev")),
    "null": len(open("/dev/zero", "rb").read(3)),
    "mounts": [line.split()[1:4] for line in open("/proc/self/mounts")],
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What somebody inside sees."""
    top = tmp_path_factory.mktemp("host")
    for name in ("shown", "secret"):
        (top / name).mkdir()
        (top / name / "file").write_text(name)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            MAKE + LOOK,
            json.dumps([str(top / "shown")]),
            json.dumps({"more": "/dev/null"}),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip("no user namespaces here")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_only_what_is_listed_is_there(seen: dict[str, object]) -> None:
    assert set(seen["top"]) <= {  # type: ignore[call-overload]
        *(
            "bin",
            "dev",
            "etc",
            "home",
            "lib",
            "lib32",
            "lib64",
            "libx32",
            "mnt",
            "opt",
            "proc",
            "root",
            "run",
        ),
        *("sbin", "sys", "tmp", "usr", "var"),
    }
    allowed = {name.split("/")[0] for name in rootfs.ETC} | {"passwd", "a", "mtab"}
    assert set(seen["etc"]) <= allowed  # type: ignore[call-overload]
    assert seen["text"] == "c"


def test_a_shown_folder_is_at_its_place_and_its_neighbours_are_not(seen: dict[str, object]) -> None:
    [content] = seen["shown"].values()  # type: ignore[attr-defined]
    assert content == ["file"] and seen["above"] == ["shown"]


def test_all_but_the_fresh_folders_is_read_only(seen: dict[str, object]) -> None:
    assert set(seen["refused"].values()) == {"Read-only file system"}  # type: ignore[attr-defined]
    assert seen["room"] == ["", ""]


def test_devices_work_and_are_few(seen: dict[str, object]) -> None:
    assert seen["null"] == 3
    assert set(seen["devices"]) == {  # type: ignore[call-overload]
        *rootfs.DEVICES,
        *("fd", "stdin", "stdout", "stderr", "pts", "ptmx", "shm", "more"),
    }


def test_no_set_uid_bit_counts(seen: dict[str, object]) -> None:
    mounts: list[list[str]] = seen["mounts"]  # type: ignore[assignment]
    options = {place: options.split(",") for place, _, options in mounts}
    counted = {place for place in options if not place.startswith(("/dev/", "/proc"))}
    assert {"/", "/usr"} <= counted
    assert not [place for place in counted if "nosuid" not in options[place]]


def test_what_is_to_be_seen_anyhow_is_not_shown_twice() -> None:
    shown = {Path("/a"): "", Path("/a/b"): "", Path("/usr/local"): "", Path("/c/d"): ""}
    assert [path for path in shown if not rootfs._seen(path, shown)] == [Path("/a"), Path("/c/d")]
