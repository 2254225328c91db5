"""The supervisor's process on the host, identified by process id, start time and boot id."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec

from hpclab.shell import wait_until


class Supervisor(msgspec.Struct, frozen=True):
    """Process 1 of a cluster, as the host sees it. ``start_ticks`` is field 22 of /proc/PID/stat."""

    pid: int
    start_ticks: int
    boot_id: str


def running(folder: Path) -> Supervisor | None:
    """Return the supervisor of the cluster in ``folder``, if it runs."""
    try:
        known = msgspec.json.decode((folder / "supervisor.json").read_bytes(), type=Supervisor)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, msgspec.MsgspecError):
        return None
    return known if known.boot_id == boot and _start_ticks(known.pid) == known.start_ticks else None


def _start_ticks(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def kill(supervisor: Supervisor) -> None:
    """Kill process 1; the kernel then kills everything in its namespaces."""
    handle = os.pidfd_open(supervisor.pid)
    try:
        if _start_ticks(supervisor.pid) == supervisor.start_ticks:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)
    gone(supervisor, 20)


def gone(supervisor: Supervisor, seconds: float) -> None:
    """Wait until process 1 has ended. Raises DeadlineExceeded."""
    wait_until(
        lambda: _start_ticks(supervisor.pid) != supervisor.start_ticks,
        f"the cluster's process {supervisor.pid} to end",
        seconds=seconds,
        every=0.02,
    )
