"""Start ``boot`` in its own namespaces, and write its id maps from outside."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hpclab.cluster.boot import Plan
from hpclab.cluster.identity import Identity
from hpclab.errors import ClusterError, HostUnsuitable
from hpclab.sandbox import ids
from hpclab.shell import indented, run

NO_NAMESPACES = """\
User namespaces are switched off. An administrator can allow them; look at these, in order:
    /proc/sys/user/max_user_namespaces                         must not be 0
    /proc/sys/kernel/unprivileged_userns_clone                 (Debian) must be 1
    /proc/sys/kernel/apparmor_restrict_unprivileged_userns     (Ubuntu) must be 0
Inside Docker or Podman, start the container with --security-opt seccomp=unconfined."""


def start(
    plan: Plan,
    identity: Identity,
    *,
    enter: Callable[[int], None] = lambda _: None,
    delegate: Callable[[int], None] = lambda _: None,
) -> int:
    """Boot ``plan``; returns the supervisor's process id on the host.

    ``enter`` is called with the process id before it has its namespaces, ``delegate`` after.
    Raises HostUnsuitable, ClusterError; on an error nothing is left running.
    """
    if identity.by_root:  # the host's root isn't mapped inside, so change the owner of its folder
        os.chown(plan.folder, identity.outside_uid(0), identity.outside_gid(0))
    complaints = os.memfd_create("complaints")  # in memory, so that errors are reported even on a full disk
    boot = subprocess.Popen(
        [sys.executable, "-m", "hpclab.cluster.boot"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        text=True,
    )
    assert boot.stdin and boot.stdout
    try:
        enter(boot.pid)
        boot.stdin.write(msgspec.json.encode(plan).decode() + "\n")
        boot.stdin.flush()
        if boot.stdout.readline().strip() != "unshared":
            said = _said(complaints)
            if "unshare" in said:
                raise HostUnsuitable(said, NO_NAMESPACES)
            raise ClusterError(f"the boot program ended before it began: {indented(_all(complaints))}")
        ids.write_maps(boot.pid, identity.maps)
        delegate(boot.pid)
        boot.stdin.write("mapped\n")
        boot.stdin.flush()
        answer = boot.stdout.readline().strip()
        if not answer.isdigit():
            said = _said(complaints)
            full = os.strerror(errno.ENOSPC) in said
            raise ClusterError(
                f"the cluster's namespaces could not be built: {said}",
                f"Make room in {Path(plan.folder).parent}, or choose another folder with HPCLAB_STATE."
                if full
                else "",
            )
        return int(answer)
    except BrokenPipeError:
        raise ClusterError(f"the boot program died: {_said(complaints)}") from None
    finally:
        boot.stdin.close()
        boot.stdout.close()
        boot.wait(timeout=30)
        os.close(complaints)


def _all(complaints: int) -> str:
    return os.pread(complaints, 1 << 20, 0).decode(errors="replace").strip()


def _said(complaints: int) -> str:
    lines = _all(complaints).splitlines()
    return lines[-1] if lines else "no message"


def remove_folder(identity: Identity, folder: Path) -> None:
    """Remove ``folder`` and everything that sub-ids own in it."""
    if folder.is_dir():
        as_root_of(identity, ["find", ".", "-mindepth", "1", "-delete"], folder)
        folder.rmdir()


def as_root_of(identity: Identity, argv: Sequence[str], folder: Path) -> None:
    """Run ``argv`` in ``folder`` with the file permissions of the cluster's root, outside any cluster.

    Used to remove files that belong to sub-ids. Paths in ``argv`` are relative to ``folder``: the cluster's
    root may be unable to reach it by its path, for example below a home that is closed to other groups.
    """
    if identity.by_root:
        run(argv, cwd=folder)
        return
    with subprocess.Popen(
        ["unshare", "--user", "--", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin and holder.stdout
        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.stdout.readline()  # cat's answer shows that the namespace exists
        ids.write_maps(holder.pid, identity.maps)
        try:
            run(["nsenter", "--user", f"--target={holder.pid}", "--", *argv], cwd=folder)
        finally:
            holder.stdin.close()
