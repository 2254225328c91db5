"""What is read from the host: what its people can see, whether a process is the one meant."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from hpclab.cluster import cgroups, process, recovery, visibility
from hpclab.errors import DeadlineExceeded, HostUnsuitable

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])


def record(folder: Path, **values: object) -> None:
    own = {"pid": os.getpid(), "start_ticks": ticks(os.getpid()), "boot_id": BOOT}
    (folder / "supervisor.json").write_bytes(msgspec.json.encode(own | values))


def test_a_running_supervisor_is_found(tmp_path: Path) -> None:
    record(tmp_path)
    found = process.running(tmp_path)
    assert found is not None and found.pid == os.getpid()


@pytest.mark.parametrize(
    "stale",
    [{"start_ticks": 1}, {"boot_id": "of another boot"}, {"pid": 2**22 + 1}],
    ids=["number used again", "before a reboot", "no such process"],
)
def test_a_stale_record_is_nobody(tmp_path: Path, stale: dict[str, object]) -> None:
    record(tmp_path, **stale)
    assert process.running(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\x00\x00"])
def test_a_torn_record_is_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "supervisor.json").write_text(text)
    assert process.running(tmp_path) is None


def test_no_record_is_nobody(tmp_path: Path) -> None:
    assert process.running(tmp_path) is None
    assert process.running(tmp_path / "not there") is None


def test_a_zombie_does_not_run(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    record(tmp_path, pid=child.pid, start_ticks=ticks(child.pid))
    supervisor = process.running(tmp_path)
    assert supervisor is not None
    process.kill(supervisor)
    assert process.running(tmp_path) is None  # killed, and not yet waited for
    child.wait(10)


def test_a_stranger_with_the_same_number_is_not_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process.kill(process.Supervisor(pid=child.pid, start_ticks=ticks(child.pid) - 1, boot_id=BOOT))
        assert child.poll() is None
        child.kill()


def test_waiting_for_an_end_has_a_deadline() -> None:
    own = process.Supervisor(pid=os.getpid(), start_ticks=ticks(os.getpid()), boot_id=BOOT)
    with pytest.raises(DeadlineExceeded, match="to end"):
        process.gone(own, 0.05)


# ---- visible ---------------------------------------------------------------------------------


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /root."""
    top = tmp_path.resolve() / "root"
    top.mkdir(mode=0o700)
    monkeypatch.setattr(visibility, "HIDDEN", (top,))
    return top


def test_only_what_lies_below_a_hidden_folder_is_shown(hidden: Path, tmp_path: Path) -> None:
    for name in ("course", "course/.venv", "python", "course-2"):
        (hidden / name).mkdir()
    elsewhere = tmp_path / "opt"
    elsewhere.mkdir()
    paths = [
        hidden / "course/.venv",
        hidden / "course",
        hidden / "python",
        hidden / "course-2",
        elsewhere,
        hidden / "course",
    ]
    assert visibility.exposures(paths) == (hidden / "course", hidden / "course-2", hidden / "python")
    assert visibility.exposures([elsewhere]) == ()


def test_a_link_is_followed(hidden: Path, tmp_path: Path) -> None:
    (hidden / "real").mkdir()
    (tmp_path / "link").symlink_to(hidden / "real")
    assert visibility.exposures([tmp_path / "link"]) == (hidden / "real",)


def test_what_is_shown_may_lie_below_a_closed_folder(hidden: Path) -> None:
    (hidden / "course").mkdir(mode=0o755)
    visibility.check([hidden / "course"], by_root=True)


def test_a_closed_folder_elsewhere_is_refused_with_its_remedy(hidden: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home/course").mkdir()
    with pytest.raises(HostUnsuitable, match="closed to other users") as refused:
        visibility.check([tmp_path / "home/course"], by_root=True)
    assert "chmod o+x" in refused.value.remedy
    visibility.check([tmp_path / "home/course"], by_root=False)


# ---- small ones ------------------------------------------------------------------------------


def test_cgroups_are_roots(tmp_path: Path) -> None:
    assert cgroups.version(by_root=True, root=tmp_path) == "none"
    for name in ("memory", "freezer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text("")
    assert cgroups.version(by_root=True, root=tmp_path) == "v1"
    assert cgroups.version(by_root=False, root=tmp_path) == "none"


def test_lost_jobs_are_read(tmp_path: Path) -> None:
    assert recovery.lost(tmp_path) == ()
    (tmp_path / "log").mkdir()
    (tmp_path / "log/lost-jobs.txt").write_text("7 2026-01-02T03:04:05\n8 2026-01-02T03:04:06\nhalf\n\nx y\n")
    assert [job.job_id for job in recovery.lost(tmp_path)] == [7, 8]
