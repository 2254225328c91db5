"""Workers on this machine: limited in number and time, and ended with the command."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from hpclab import layout, locks
from hpclab.app import parallel
from hpclab.app.grading import local_worker
from hpclab.errors import HostUnsuitable
from hpclab.grading.batch import Batch

LOOK_S = 0.1  # seconds between two checks for results
# The environment that a worker needs; under root it gets even less.
ENVIRONMENT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
IMAGE_PYTHON = "/opt/hpc-lab/.venv/bin/python"


class WorkerProcess:
    """A process that runs one task of a round."""

    def __init__(self, argv: Sequence[str], log: Path, alive: int, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=[alive],
                start_new_session=True,  # Ctrl-C goes to the command, which ends workers itself
            )
        self.pidfd = os.pidfd_open(self._process.pid)

    def close(self) -> None:
        """End the worker and its children."""
        self._process.kill()
        self._process.wait()
        os.close(self.pidfd)

    def end_overdue(self) -> None:
        """End the worker if its time limit has passed."""
        if time.monotonic() > self._deadline:
            with self._log.open("ab") as out:
                out.write(f"ended: its limit of {self._seconds:g} s is over\n".encode())
            self._process.kill()


def run_round(
    commands: Sequence[Sequence[str]],
    logs: Sequence[Path],
    *,
    at_once: int,
    seconds: float,
    alive: Path,
    look: Callable[[], object],
    say: Callable[[str], None],
    stop: parallel.Cancellation,
) -> None:
    """Run ``commands``, ``at_once`` at a time, each for at most ``seconds``; return when all have ended.

    ``look`` collects results. Every worker holds the lock ``alive``. Any exception ends all workers.
    Raises Interrupted after a signal.
    """
    waiting = deque(zip(commands, logs, strict=True))
    running: dict[int, WorkerProcess] = {}
    poll = select.poll()
    lock_of = locks.held(alive, "workers of an earlier command to end", seconds=60, shared=True)
    with lock_of as lock, stop.polling():
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    worker = WorkerProcess(*waiting.popleft(), lock, seconds)
                    running[worker.pidfd] = worker
                    poll.register(worker.pidfd, select.POLLIN)
                say(f"{len(running)} task{'s' if len(running) > 1 else ''} running")
                for pidfd, _ in poll.poll(LOOK_S * 1000):
                    poll.unregister(pidfd)
                    running.pop(pidfd).close()
                for worker in running.values():
                    worker.end_overdue()
                stop.check()
                look()
        finally:
            for worker in running.values():
                worker.close()


def command(
    spool: Path, batch: Batch, number: int, index: int, *, image: Path | None, hidden: Sequence[Path]
) -> list[str]:
    """Return the command line for the worker of task ``index`` in round ``number``. Raises HostUnsuitable."""
    program = ["-I", "-m", "hpclab.app.grading.array_task", str(spool), str(number), str(index)]
    by_root = os.geteuid() == 0
    needed = (layout.clone_folder(), Path(sys.prefix), Path(sys.base_prefix), layout.cache_home(), spool)
    shown = dict.fromkeys(place for path in needed if path.is_dir() for place in (path, path.resolve()))
    config = local_worker.WorkerConfig(
        parent=os.getpid(),
        argv=(*interpreter(spool, image), *program),
        env=environment(os.environ, spool, by_root=by_root),
        account=local_worker.account_of(batch.uuid) if by_root else None,
        shown=tuple(map(str, shown)),
        covered=(str(layout.state_home().absolute()),),  # clusters, and spools of other batches
        hidden=tuple(map(str, hidden)),
    )
    start = [sys.executable, "-I", "-m", "hpclab.app.grading.local_worker"]
    return [*start, msgspec.json.encode(config).decode()]


def interpreter(spool: Path, image: Path | None) -> list[str]:
    """Return the command line that runs Python in a worker: this one's, or an image's. Raises HostUnsuitable."""
    if image is None:
        return [sys.executable]
    apptainer = shutil.which("apptainer")
    if apptainer is None:
        raise HostUnsuitable(
            "--image needs Apptainer, which this machine does not have",
            "Install it (https://apptainer.org), or leave --image out: the workers then use this Python.",
        )
    return [apptainer, "exec", "--containall", "--bind", str(spool), str(image), IMAGE_PYTHON]


def environment(mine: Mapping[str, str], spool: Path, *, by_root: bool) -> dict[str, str]:
    """Return a worker's environment: without the variables of a surrounding job and root's secrets."""
    found = {name: mine[name] for name in ENVIRONMENT if name in mine}
    if by_root:
        found |= {"PATH": os.defpath, "HOME": "/nonexistent", "USER": "root"}
        found.pop("XDG_RUNTIME_DIR", None)
        found.pop("DBUS_SESSION_BUS_ADDRESS", None)
    state = spool / "state" if by_root else layout.state_home().absolute()
    return found | {"HPCLAB_CACHE": str(layout.cache_home().absolute()), "HPCLAB_STATE": str(state)}
