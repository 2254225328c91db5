"""The processes of a plain sandbox: process 1 of a pid namespace, and in it the learner's cells or the grader's tests."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from hpclab.grading.assess import test_runner
from hpclab.grading.execute import runner
from hpclab.grading.execute.ipython import Shell
from hpclab.sandbox import ids, kernel, limits, rootfs, seccomp, usage
from hpclab.sandbox.limits import IsolationLimits
from hpclab.sandbox.rootfs import TmpfsMount
from hpclab.sandbox.termination import Termination

HOME = "/home/learner"
TOP = f"{HOME}/lab"  # the top of the learner's folder
PLACES = ("/tmp", "/var/tmp", "/dev/shm")
ENVIRONMENT = {
    "HOME": HOME,
    "USER": "learner",
    "LOGNAME": "learner",
    "SHELL": "/bin/bash",
    "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
LOOK_SECONDS = 0.05
LINES, ANSWERS = 3, 4  # descriptors: for writing lines, for reading replies
GRADER = IsolationLimits(memory_mib=1024, processes=64, disk_mib=64, inodes=1024, seconds=3600)
BROKEN = 86  # process 1 itself failed: nothing is known of the submission
# Created before any fork.
SHELL: list[Shell] = []
FILTER: list[bytes] = []
SHOWN: list[str] = []  # the folders of Python and this package


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of a sandbox. ``folder`` is the lab's, below the learner's folder."""

    folder: str
    limits: IsolationLimits
    owner: ids.Owner

    @property
    def separate(self) -> bool:
        """Whether the learner has another user id than the sandbox's root."""
        return self.owner != ids.Owner.SELF

    @property
    def learner(self) -> int:
        """The learner's user id in the sandbox's first user namespace."""
        return ids.LEARNER if self.separate else ids.ROOT


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a process in the sandbox ended.

    Exit status or minus the signal, the limit that stopped it, and how many processes of the learner it left.
    """

    code: int
    limit: Termination | None = None
    left: int = 0


def init(report: int, bounds: IsolationLimits, work: Callable[[], int], *, watched: bool) -> NoReturn:
    """Run as process 1: mount /proc, then do ``work``; if ``watched``, in a child, while enforcing the limits."""
    try:
        kernel.die_with_parent()
        kernel.unshare(kernel.NEWNS)
        kernel.mount("proc", "/proc", "proc", kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)
        if not watched:
            _work(work)
        # Where both have the same user id, the learner must not read this process or attach to it.
        kernel.dumpable(yes=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        child = os.fork()
        if child == 0:
            _work(work)
        os.closerange(3, report)
        os.closerange(report + 1, 1 << 20)
        termination = _watch(child, bounds)
    except BaseException:
        os.write(2, traceback.format_exc(limit=-3).encode())
        os._exit(BROKEN)
    os.write(report, msgspec.json.encode(termination))
    os._exit(0)


def _work(work: Callable[[], int]) -> NoReturn:
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        status = work()
    except BaseException:
        with contextlib.suppress(BaseException):
            os.write(2, traceback.format_exc(limit=-3).encode())
    os._exit(status)


def _watch(child: int, bounds: IsolationLimits) -> Report:
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
        while True:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == child:
                peak = used.ru_maxrss > (bounds.memory_mib + limits.SLACK_MIB) * 1024
                return Report(
                    code=os.waitstatus_to_exitcode(status),
                    limit=Termination.MEMORY if peak else None,
                    left=sum(entry.name.isdigit() for entry in os.scandir(usage.PROC)) - 1,
                )
            if not pid:
                break
        found = usage.measure(enough_bytes=bounds.memory_mib * limits.MIB, without=1)
        if limit := limits.exceeded(bounds, found):
            return Report(code=-signal.SIGKILL, limit=limit)


# ---- the learner and the grader ----------------------------------------------------------------


def learner(config: SandboxConfig, request: bytes, out: int, errors: int) -> int:
    """Become the learner irrevocably, and run the cells."""
    _only_descriptors(errors, out)
    if config.separate:
        kernel.become(config.learner, config.learner)
    # The kernel counts a user's processes per user namespace, so this sandbox has its own count.
    kernel.unshare(kernel.NEWUSER)
    kernel.dumpable()
    ids.write_own_map(inside=ids.LEARNER, outside=config.learner)
    limits.set_rlimits(config.limits)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out, kill this before the init
    kernel.no_capabilities()
    _confined()
    os.chdir(Path(TOP, config.folder))
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # Python reseeds its own generator after each fork
    sys.path.insert(0, "")  # as in a notebook: modules may lie beside it
    return runner.run(json.loads(request), LINES, SHELL[0])


def mount_fresh(mount: TmpfsMount) -> None:
    """Mount new folders in memory at PLACES, and mount again what is shown below them (a clone in /var/tmp)."""
    handles = {
        Path(path): os.open(path, os.O_PATH | os.O_CLOEXEC)
        for path in SHOWN
        if any(Path(path).is_relative_to(place) for place in PLACES)
    }
    for place in PLACES:
        rootfs.tmpfs(Path(place), mount)
    for path, handle in sorted(handles.items()):
        if not path.exists():  # otherwise it is inside a folder that was mounted already
            rootfs.show(Path(f"/proc/self/fd/{handle}"), path)
        os.close(handle)


def grader(config: SandboxConfig, request: bytes, lines: int, out: int, errors: int) -> int:
    """Become the grader, another user who can read the learner's files, and run the tests."""
    mount_fresh(TmpfsMount(size_mib=64, inodes=1024))
    kernel.mount("", HOME, flags=kernel.REMOUNT | kernel.BIND | kernel.RDONLY | kernel.NOSUID | kernel.NODEV)
    _only_descriptors(errors, out, lines)
    if config.separate:
        kernel.become(ids.GRADER, ids.GRADER, [kernel.CAP_DAC_READ_SEARCH])
    else:
        kernel.no_capabilities()
    folder = Path(TOP, config.folder).relative_to(HOME)
    handle = rootfs.real_folder(Path(HOME), folder, otherwise=Path(PLACES[0]))
    limits.set_rlimits(GRADER)
    _confined()
    os.fchdir(handle)
    os.close(handle)

    def say(line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        while data:
            data = data[os.write(LINES, data) :]

    with open(ANSWERS, "rb") as answers:
        test_runner.run(json.loads(request), say, answers.readline)
    return 0


def _only_descriptors(errors: int, *others: int) -> None:
    """Put /dev/null on 0, ``errors`` on 1 and 2, the others from LINES on; close all other descriptors."""
    kept = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 100) for one in (errors, *others)]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(kept[0], 1)
    os.dup2(kept[0], 2)
    for number, one in enumerate(kept[1:], LINES):
        os.dup2(one, number, inheritable=False)
    os.closerange(LINES + len(others), 1 << 20)


def _confined() -> None:
    """Give up the means to gain privileges; set up a session and a learner's environment."""
    seccomp.no_new_privileges()
    seccomp.apply(FILTER[0])
    kernel.dumpable()
    os.setsid()
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
