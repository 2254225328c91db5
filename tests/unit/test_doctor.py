"""The doctor's checks with given values."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hpclab import sites
from hpclab.cli.doctor import doctor as command
from hpclab.doctor import checks, probes
from hpclab.doctor.checks import Diagnosis, UsernsSettings

GIB = 1 << 30


@pytest.mark.parametrize(
    ("version", "verdict"), [((3, 10, 9), "fail"), ((3, 11, 2), "ok"), ((3, 14, 0), "ok")]
)
def test_python(version: tuple[int, ...], verdict: str) -> None:
    assert checks.check_python(version).verdict == verdict


@pytest.mark.parametrize(
    ("release", "verdict"),
    [
        ("5.10.0-28-amd64", "fail"),
        ("4.18.0-553.el8.x86_64", "fail"),
        ("5.12.0", "ok"),
        ("6.1.0-18-amd64", "ok"),
        ("6.18", "ok"),
        ("strange", "warn"),
    ],
)
def test_kernel(release: str, verdict: str) -> None:
    assert checks.check_kernel(release).verdict == verdict


@pytest.mark.parametrize(
    ("switches", "user", "root", "names"),
    [
        (UsernsSettings(), "ok", "ok", ""),
        (UsernsSettings(maximum=1000, clone=1, apparmor=0), "ok", "ok", ""),
        (UsernsSettings(maximum=0, clone=1), "fail", "fail", "user.max_user_namespaces"),
        (UsernsSettings(maximum=1000, clone=0), "fail", "ok", "kernel.unprivileged_userns_clone"),
        (
            UsernsSettings(maximum=1000, apparmor=1),
            "fail",
            "ok",
            "kernel.apparmor_restrict_unprivileged_userns",
        ),
    ],
)
def test_user_namespaces(switches: UsernsSettings, user: str, root: str, names: str) -> None:
    ordinary = checks.check_user_namespaces(switches, by_root=False)
    assert ordinary.verdict == user
    assert names in ordinary.remedy
    assert checks.check_user_namespaces(switches, by_root=True).verdict == root


def test_overlay() -> None:
    assert checks.check_overlay("").verdict == "ok"
    broken = checks.check_overlay("mount: wrong fs type")
    assert (
        broken.verdict == "fail" and "wrong fs type" in broken.found and "modprobe overlay" in broken.remedy
    )


@pytest.mark.parametrize(
    ("uids", "gids", "newuidmap", "verdict", "says"),
    [
        ([65536], [65536], "/usr/bin/newuidmap", "ok", "newuidmap"),
        ([1000, 65536], [131072], "/usr/bin/newuidmap", "ok", ""),
        ([], [65536], "/usr/bin/newuidmap", "fail", "/etc/subuid gives ada no range"),
        ([65536], [], "/usr/bin/newuidmap", "fail", "/etc/subgid gives ada no range"),
        ([65536], [1000], "/usr/bin/newuidmap", "fail", "a range of 1000"),
        ([65536], [65536], None, "fail", "newuidmap is not installed"),
    ],
)
def test_sub_ids(uids: list[int], gids: list[int], newuidmap: str | None, verdict: str, says: str) -> None:
    found = checks.check_sub_ids("ada", uids, gids, newuidmap, least=65536, by_root=False)
    assert found.verdict == verdict
    assert says in found.found
    assert (verdict == "ok") == (not found.remedy)
    assert checks.check_sub_ids("root", uids, gids, newuidmap, least=65536, by_root=True).verdict == "ok"


@pytest.mark.parametrize(
    ("present", "usable", "by_root", "verdict"),
    [
        (True, True, False, "ok"),
        (True, False, False, "warn"),
        (True, False, True, "ok"),
        (False, False, True, "warn"),
    ],
)
def test_devices(present: bool, usable: bool, by_root: bool, verdict: str) -> None:
    found = checks.check_device("/dev/net/tun", present, usable, "no way out", by_root=by_root)
    assert found.verdict == verdict
    assert ("no way out" in found.found) == (verdict == "warn")


def test_memory_limits() -> None:
    assert checks.check_memory_limits("v1", "v1").verdict == "ok"
    for version in ("v1", "v2", "none"):
        assert checks.check_memory_limits(version, "none").verdict == "warn"


@pytest.mark.parametrize(("free", "verdict"), [(99, "fail"), (150, "warn"), (200, "ok")])
def test_disk(free: int, verdict: str) -> None:
    found = checks.check_disk("clusters", Path("/x"), free << 20, 100 << 20, "HPCLAB_STATE")
    assert found.verdict == verdict
    assert "/x" in found.found
    assert ("HPCLAB_STATE" in found.remedy) == (verdict != "ok")


@pytest.mark.parametrize(("free", "verdict"), [(GIB // 4, "fail"), (2 * GIB, "warn"), (8 * GIB, "ok")])
def test_memory(free: int, verdict: str) -> None:
    assert checks.check_memory(16 * GIB, free).verdict == verdict


def test_packages() -> None:
    assert checks.check_packages(None, [], "/usr/bin/apt-get").verdict == "ok"
    assert checks.check_packages(None, [], None).verdict == "fail"
    assert checks.check_packages(Path("/p"), [], None).verdict == "ok"
    lacking = checks.check_packages(Path("/p"), [("Apptainer", "no network", "Try again.")], None)
    assert lacking.verdict == "warn" and "Apptainer is missing (no network)" in lacking.found
    assert lacking.remedy == "Try again."


def test_folders_and_access_to_the_course() -> None:
    assert checks.check_writable("state", Path("/x"), "", "HPCLAB_STATE").verdict == "ok"
    refused = checks.check_writable("state", Path("/x"), "Permission denied", "HPCLAB_STATE")
    assert refused.verdict == "fail" and "HPCLAB_STATE" in refused.remedy
    assert checks.check_reachable("", "").verdict == "ok"
    assert checks.check_reachable("/root is closed", "chmod").verdict == "fail"


def test_only_a_failure_fails() -> None:
    assert not checks.any_failed([Diagnosis("a", "ok", ""), Diagnosis("b", "warn", "")])
    assert checks.any_failed([Diagnosis("a", "ok", ""), Diagnosis("b", "fail", "")])


# ---- a site ----------------------------------------------------------------------------------


def site_of(root: Path, name: str = "perlmutter") -> sites.Site:
    return sites.load(name, root / "sites")


def test_a_login_node_with_everything(root: Path) -> None:
    tools = {*checks.SLURM_COMMANDS, "podman-hpc"}
    found = probes.examine_site(
        site_of(root), {"HPCLAB_ACCOUNT": "m1234"}, lambda name: f"/usr/bin/{name}" if name in tools else None
    )
    assert {one.name: one.verdict for one in found} == {
        "Python": "ok",
        "Slurm's commands": "ok",
        "containers": "ok",
        "account": "ok",
    }


def test_a_machine_without_slurm(root: Path) -> None:
    found = {one.name: one for one in probes.examine_site(site_of(root), {}, lambda name: None)}
    assert found["Slurm's commands"].verdict == "fail"
    assert "sbatch" in found["Slurm's commands"].found
    assert found["containers"].verdict == "warn"
    assert found["account"].verdict == "warn" and "HPCLAB_ACCOUNT" in found["account"].remedy


def test_a_site_that_needs_no_account(root: Path) -> None:
    assert checks.check_account(site_of(root, "local"), {}).verdict == "ok"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("Slurmctld(primary) at ctl is UP\n", "ok"),
        ("Slurmctld(primary) at ctl is DOWN\n", "fail"),
        ("", "fail"),
    ],
)
def test_controller(answer: str, verdict: str) -> None:
    assert checks.check_controller(answer).verdict == verdict


# ---- looking ---------------------------------------------------------------------------------


def test_cgroup_version(tmp_path: Path) -> None:
    assert probes.cgroup_version(tmp_path) == "none"
    (tmp_path / "memory").mkdir()
    assert probes.cgroup_version(tmp_path) == "v1"
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    assert probes.cgroup_version(tmp_path) == "v2"


def test_probes_leave_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCLAB_STATE", str(tmp_path / "not/there/yet"))
    CliRunner().invoke(command, [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_state_folder_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HPCLAB_STATE", str(tmp_path / "file"))
    monkeypatch.setenv("COLUMNS", "300")  # the words stay on one line, however long the path
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 1
    assert "fail" in done.output and "Not a directory" in done.output


def test_named_site_is_checked_instead_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    done = CliRunner().invoke(command, ["--site", "perlmutter"])
    assert done.exit_code == 1
    assert "not on PATH" in done.output and "overlayfs" not in done.output
    assert CliRunner().invoke(command, ["--site", "nonesuch"]).exit_code == 2
