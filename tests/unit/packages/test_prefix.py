"""The prefix: its name, its completeness, and concurrent or killed builds."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from hpclab.errors import DeadlineExceeded, HostUnsuitable, PackagesError
from hpclab.packages import apptainer, prefix
from hpclab.packages.apt import Apt


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPCLAB_CACHE", str(tmp_path / "the cache"))
    monkeypatch.setattr(prefix, "detect_distribution", lambda: "debian12")
    monkeypatch.setattr(prefix, "detect_architecture", lambda: "amd64")
    monkeypatch.setattr(prefix, "NEEDED_BYTES", 0)
    return tmp_path / "the cache/packages"


Built = list[Path]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Built:
    """Replaces the real work; the list tells which folders were asked for."""
    asked: Built = []

    def build(target: Path, aside: Path, progress: Callable[[str], None]) -> None:
        asked.append(target)
        assert list(target.parent.glob(".building-*")) == [aside]
        aside.rmdir()
        target.mkdir()
        (target / "manifest.json").write_text(
            json.dumps({"distribution": "d", "packages": {}, "set_id": [], "missing": []})
        )

    monkeypatch.setattr(prefix, "build", build)
    return asked


def test_prefix_name_depends_on_all_inputs() -> None:
    keys = {
        prefix.prefix_name(distribution, architecture, with_apptainer=own)
        for distribution in ("debian12", "debian13")
        for architecture in ("amd64", "arm64")
        for own in (True, False)
    }
    assert len(keys) == 8
    assert prefix.prefix_name("debian12", "amd64", with_apptainer=True).startswith("debian12-")


def test_prefix_name_depends_on_list_and_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = prefix.prefix_name("debian12", "amd64", with_apptainer=True)
    monkeypatch.setitem(prefix.PACKAGES, "one-more", "why")
    more = prefix.prefix_name("debian12", "amd64", with_apptainer=True)
    monkeypatch.setattr(prefix, "RECIPE", prefix.RECIPE + 1)
    assert len({before, more, prefix.prefix_name("debian12", "amd64", with_apptainer=True)}) == 3


def test_a_complete_prefix_is_found_and_not_built_again(home: Path, built: Built) -> None:
    first = prefix.ensure()
    assert first.parent == home
    assert prefix.ensure() == first
    assert built == [first]


def test_a_relative_cache_folder_serves(
    home: Path, built: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPCLAB_CACHE", "near")
    assert prefix.ensure().parent == tmp_path / "near/packages"


def test_a_folder_without_manifest_is_not_complete(tmp_path: Path) -> None:
    assert not prefix.is_complete(tmp_path)


def test_leftovers_of_a_killed_build_are_removed(home: Path, built: Built) -> None:
    (home / ".building-debian12-dead/root/usr").mkdir(parents=True)
    made = prefix.ensure()
    assert sorted(path.name for path in home.iterdir()) == sorted([made.name, "lock"])


def test_second_build_waits_with_a_deadline(
    home: Path, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix, "LOCK_TIMEOUT_S", 0.3)
    home.mkdir(parents=True)
    told: list[str] = []
    with (home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DeadlineExceeded, match="lock") as caught:
            prefix.ensure(told.append)
    assert "fuser" in caught.value.remedy
    assert told == ["waiting for another process that builds the same packages"]
    assert built == []
    prefix.ensure()
    assert len(built) == 1


def test_finding_a_complete_prefix_needs_no_lock(home: Path, built: Built) -> None:
    made = prefix.ensure()
    with (home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert prefix.ensure() == made


def test_waiting_build_uses_the_other_builds_prefix(home: Path, built: Built) -> None:
    home.mkdir(parents=True)
    name = prefix.prefix_name("debian12", "amd64", with_apptainer=apptainer.find_installed() is None)
    with (home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def finish(text: str) -> None:
            (home / name).mkdir()
            (home / name / "manifest.json").write_text("{}")
            fcntl.flock(file, fcntl.LOCK_UN)

        assert prefix.ensure(finish) == home / name
    assert built == []


def test_lock_is_released_when_a_build_is_killed(home: Path, built: Built) -> None:
    home.mkdir(parents=True)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, home / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()
        other.wait(timeout=30)
    prefix.ensure()
    assert len(built) == 1


def test_a_failed_build_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*ignored: object) -> NoReturn:
        raise PackagesError("no", "yes")

    monkeypatch.setattr(prefix, "HOST_STATUS", home.parent / "status")
    home.mkdir(parents=True)
    (home.parent / "status").write_text("")
    monkeypatch.setattr(Apt, "resolve", fail)
    monkeypatch.setattr(Apt, "update", lambda self: "")
    with pytest.raises(PackagesError):
        prefix.ensure()
    assert [path.name for path in home.iterdir()] == ["lock"]


def test_full_disk_is_refused_with_the_needed_size(
    home: Path, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(PackagesError, match="MiB are free") as caught:
        prefix.ensure()
    assert "HPCLAB_CACHE" in caught.value.remedy
    assert built == []


@pytest.mark.parametrize(
    ("number", "problem"), [(errno.EROFS, "Read-only"), (errno.EACCES, "denied"), (errno.ENOSPC, "full")]
)
def test_os_errors_have_a_remedy(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int, problem: str
) -> None:
    def refuse(target: Path, aside: Path, progress: object) -> NoReturn:
        raise OSError(number, os.strerror(number), "/some/folder")

    monkeypatch.setattr(prefix, "build", refuse)
    with pytest.raises(PackagesError, match=problem) as caught:
        prefix.ensure()
    assert "HPCLAB_CACHE" in caught.value.remedy


def test_file_in_place_of_the_cache_is_an_error_with_remedy(home: Path) -> None:
    home.parent.write_text("")
    with pytest.raises(PackagesError, match="Not a directory"):
        prefix.ensure()


def test_other_systems_and_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(HostUnsuitable, match="riscv64"):
        prefix.detect_architecture()
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(HostUnsuitable, match="apt-get"):
        prefix.detect_distribution()


def test_without_apptainer_the_rest_is_usable(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def moved_on(*ignored: object) -> NoReturn:
        raise PackagesError("apptainer needs a_new_symbol", apptainer.REMEDY)

    monkeypatch.setattr(prefix, "HOST_STATUS", tmp_path / "status")
    (tmp_path / "status").write_text("")
    monkeypatch.setattr(
        prefix, "fetch_packages", lambda work, status, progress: (Apt(work, status, work), [])
    )
    monkeypatch.setattr(Apt, "download", lambda self, *packages: [])
    monkeypatch.setattr(apptainer, "find_installed", lambda: None)
    monkeypatch.setattr(apptainer, "unpack_into", moved_on)
    (missing,) = prefix.read_manifest(prefix.ensure()).missing
    assert missing.what == "Apptainer"
    assert missing.remedy.startswith(apptainer.REMEDY)
    assert str(home) in missing.remedy
    assert "a_new_symbol" in missing.why


def test_the_machines_own_apptainer_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prefix, "HOST_STATUS", tmp_path / "status")
    (tmp_path / "status").write_text("")
    monkeypatch.setattr(
        prefix, "fetch_packages", lambda work, status, progress: (Apt(work, status, work), [])
    )
    monkeypatch.setattr(Apt, "download", lambda self, *packages: [])
    monkeypatch.setattr(apptainer, "find_installed", lambda: Path("/usr/bin/apptainer"))
    monkeypatch.setattr(apptainer, "unpack_into", lambda *ignored: pytest.fail("added another"))
    assert prefix.read_manifest(prefix.ensure()).missing == []


def test_apptainers_mirror_is_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "http://m.example/debian-security\nhttp://m.example/debian/\nhttp://n.example/debian\n"
    assert apptainer.select_debian(listed) == "http://m.example/debian/"
    assert apptainer.select_debian("http://m.example/ubuntu/\n") is None


def test_apptainer_does_not_use_systemd_cgroups() -> None:
    text = "# systemd cgroups = [yes/no]\nsystemd cgroups = yes\nmount home = yes\n"
    assert apptainer.disable_systemd_cgroups(text).splitlines()[1:] == [
        "systemd cgroups = no",
        "mount home = yes",
    ]


@pytest.mark.cluster
@pytest.mark.timeout(900)  # fetches about 80 MB
@pytest.mark.long
def test_a_real_prefix_holds_programs_that_find_their_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPCLAB_CACHE", str(tmp_path / "the cache"))
    told: list[str] = []
    made = prefix.ensure(told.append)
    assert prefix.read_manifest(made).missing == []
    assert told[0] == "resolving packages"
    for name in ("sbin/slurmctld", "sbin/slurmd", "sbin/munged", "bin/mpirun", "bin/s6-svscan"):
        link = made / "usr" / name
        real = made / str(link.readlink()).lstrip("/") if link.is_symlink() else link
        assert os.access(real, os.X_OK), name
    assert not [path for path in made.rglob("*") if path.lstat().st_mode & 0o6000 and path.is_file()]
    wanted = "".join(
        f"/usr/sbin/{name}\n" for name in ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd")
    )
    script = (
        'mount -t overlay -o "lowerdir=$1/usr:/usr" overlay /usr && cd / && '
        "xargs ldd | grep 'not found'; munged --version && apptainer --version && mariadbd --version"
    )
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(made)]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(
        words, input=wanted, capture_output=True, text=True, env=env, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "not found" not in done.stdout
    assert "apptainer version" in done.stdout
    assert prefix.ensure() == made
