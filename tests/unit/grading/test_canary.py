"""The canary in a place without walls: its probes must notice that they got out."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from hpclab.errors import GradingError
from hpclab.grading.execute import canary, protocol
from hpclab.grading.execute.interface import Answer, Ended
from hpclab.grading.execute.probes import LIMITED
from hpclab.grading.model import Lab, Limits
from hpclab.sandbox.termination import Termination

LAB = Lab(
    module="m",
    name="n",
    title="t",
    points=1,
    seconds=1,
    nodes=0,
    containers=False,
    notebook="",
    cells=(),
    tests=(),
)
NOBODY = 65534
MARK = "CANARY_TEST"


class Open:
    """Programs run as nobody, in a folder, under no limit at all."""

    def __init__(self, folder: Path, word: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, MARK: word, "HOME": str(folder)}

    def _run(self, module: str, request: bytes, seconds: float) -> tuple[int | None, bytes]:
        with tempfile.TemporaryFile() as said:  # no pipe: a daemon that a probe leaves keeps its end open
            program = subprocess.Popen(
                [sys.executable, "-I", "-m", module],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                env=self.environment,
                user=NOBODY if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.communicate(request, timeout=seconds)
            status = program.poll()
            program.kill()
            program.wait(timeout=30)
            said.seek(0)
            return status, said.read()

    def put(self, files: Mapping[str, bytes]) -> None: ...

    def run_cells(self, request: bytes, line: Callable[[bytes], None], limits: Limits) -> Ended:
        status, said = self._run("hpclab.grading.execute.runner", request, limits.seconds + 2)
        for one in said.splitlines():
            line(one)
        return protocol.ended(-9 if status is None else status, limit=None, seconds=0, errors="")

    def stop_learner(self, limits: Limits) -> str:
        return ""

    def run_tests(self, request: bytes, line: Callable[[bytes], bytes | None], seconds: float) -> Ended:
        for one in self._run("hpclab.grading.assess.test_runner", request, seconds)[1].splitlines():
            line(one)
        return Ended(status=0)

    def ask_program(self, request: bytes, limits: Limits, files: Mapping[str, bytes] | None = None) -> Answer:
        return Answer()


def left(word: str) -> list[psutil.Process]:
    """Processes that carry the mark of one test."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == word:
                found.append(process)
    return found


@pytest.fixture
def without_walls() -> Iterator[Callable[[Lab, Limits], contextlib.AbstractContextManager[Open]]]:
    word = secrets.token_hex(8)
    places: list[Path] = []

    @contextlib.contextmanager
    def enter(lab: Lab, limits: Limits) -> Iterator[Open]:
        folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
        places.append(folder)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield Open(folder, word)

    before = set(Path("/tmp").glob("canary-*"))
    try:
        yield enter
    finally:
        for process in left(word):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        names = [path.name for path in set(Path("/tmp").glob("canary-*")) - before]
        for place in (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")):
            for name in names:
                (place / name).unlink(missing_ok=True)
        for folder in places:
            shutil.rmtree(folder)


def test_probes_that_get_out_say_so(without_walls: canary.Enter, tmp_path: Path) -> None:
    found = canary.probe(without_walls, LAB)
    out = {one.probe for one in canary.escaped(found)}
    # What an ordinary user may do nowhere, and what the runner itself sees to.
    kept = {
        "open sockets of other kinds",
        "use a scheduler of the host",
        "find inherited descriptors",
        "write where it should not",
        "reach devices",
        "write an accounting record",
        "reach another network",
        "print more than it may",
        "outlive the stop, first part",
        "leave something behind, first part",
    }
    assert out >= {one.probe for one in found} - kept
    assert len(out) >= 12
    with pytest.raises(GradingError, match="nothing is marked") as refused:
        canary.refuse(found)
    assert "make files without end" in str(refused.value)


def test_probes_that_are_never_run_are_no_comfort(tmp_path: Path) -> None:
    class Dead(Open):
        def run_cells(self, request: bytes, line: Callable[[bytes], None], limits: Limits) -> Ended:
            return Ended(status=1)

        def run_tests(self, request: bytes, line: Callable[[bytes], bytes | None], seconds: float) -> Ended:
            return Ended(status=1)

    found = canary.probe(lambda lab, limits: contextlib.nullcontext(Dead(tmp_path, "")), LAB)
    assert found and len(canary.escaped(found)) == len(found)


def test_the_crowd_of_a_probe_is_gone_when_it_ends() -> None:
    # A crowd that stayed had the next probe stopped for it, where a machine was slow enough.
    crowd = next(one for one in LIMITED if one.limit == Termination.PROCESSES)
    uid = NOBODY if os.geteuid() == 0 else os.getuid()
    # The kernel counts all tasks of the user, also those that have ended and were not waited for.
    others = [one.info for one in psutil.process_iter(["uids", "num_threads"])]
    most = 6 + sum(one["num_threads"] or 1 for one in others if one["uids"] and one["uids"].real == uid)
    bound = f"import resource; resource.setrlimit(resource.RLIMIT_NPROC, ({most}, {most}))"
    word = secrets.token_hex(8)
    with tempfile.TemporaryFile() as said:  # no pipe: its end would be waited for
        subprocess.run(
            [sys.executable, "-I", "-c", f"{bound}\nBAIT = {{'processes': 2000}}\n{crowd.source}"],
            env={MARK: word},
            user=NOBODY if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            stdout=said,
            timeout=60,
            check=True,
        )
        said.seek(0)
        assert said.read() == b"refused\n"
    assert left(word) == []
