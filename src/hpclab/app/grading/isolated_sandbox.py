"""An isolated cluster as a sandbox for grading: one for each submission of a lab that needs a cluster."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import psutil

from hpclab import layout
from hpclab.app.clusters import DEFAULT_NAME, DEFAULT_SITE, load_site, submit_settings
from hpclab.cluster import drain, identity, isolated
from hpclab.cluster.client import IsolatedCluster
from hpclab.cluster.identity import Identity
from hpclab.cluster.isolated import Shown
from hpclab.cluster.spec import LOGIN, Host, Spec
from hpclab.errors import ClusterError, DeadlineExceeded, HostUnsuitable
from hpclab.grading.execute import protocol
from hpclab.grading.execute.interface import Answer, Ended, Sandbox
from hpclab.grading.model import Lab, Limits
from hpclab.layout import INSIDE
from hpclab.packages import prefix
from hpclab.sandbox import cgroup, ids
from hpclab.sandbox.pipes import PipeSession
from hpclab.sandbox.termination import Termination

HOME = "/home/learner"
TOP = f"{HOME}/lab"
NODE_MEMORY = 4000
SHARED = ("src/hpclab", "sites", "templates", "containers")  # of the clone; no notebooks, tests or answers
SLACK = 4 << 20  # bytes that lines take besides the cells' output
TESTS_BYTES = 64 << 20
AFTER_KILL = 10.0  # seconds in which a killed program ends
START_S = 180.0


@contextmanager
def enter(lab: Lab, limits: Limits) -> Iterator[Sandbox]:
    """Start an isolated cluster for one submission of ``lab``; nothing of it remains afterwards. Raises HpclabError."""
    shown = what_is_shown()
    with ids.allocated() as own:
        spec = spec_for(lab, limits, identity.for_isolated(own))
        with (
            isolated.start(spec, shown, id_lock=own.lock, seconds=START_S) as cluster,
            closing(IsolatedSandbox(cluster, lab)) as place,
        ):
            place.put({})  # creates the lab's folder even without files
            place.start_runner()  # imports its libraries while the daemons start
            isolated.wait_ready(cluster, START_S)
            yield place


def spec_for(lab: Lab, limits: Limits, who: Identity) -> Spec:
    """Return the cluster for a submission of ``lab``: the one that labs are written for, isolated."""
    return Spec(
        name=DEFAULT_NAME,
        site=load_site(DEFAULT_SITE),
        identity=who,
        host=Host(
            memory_mib=psutil.virtual_memory().total >> 20,
            cgroup=cgroup.scope_version(by_root=who.by_root),
            cgroup_top=str(cgroup.top(by_root=who.by_root) or ""),
            outbound=False,
        ),
        nodes=lab.nodes,
        memory_mib=NODE_MEMORY,
        outbound=False,
        isolation=limits,
        containers=lab.containers,
    )


def what_is_shown() -> Shown:
    """Return the course's Python, this package, its templates, and this machine's packages. Raises HostUnsuitable."""
    course = layout.clone_folder()
    wanted = [Path(sys.prefix), Path(sys.base_prefix), *(course / name for name in SHARED)]
    folders = dict.fromkeys(one for path in wanted for one in (path, path.resolve()) if path.exists())
    readable(folders)
    unpacked = _packages_here() if (INSIDE / "bin/enter").exists() else None
    laid = None if unpacked else prefix.ensure()
    found = unpacked or laid
    assert found
    return Shown(
        venv=Path(sys.prefix),
        folders=tuple(folders),
        links=interpreter_links(Path(sys.executable), tuple(folders)),
        prefix=laid,
        packages=found.name,
        # <cache>/packages/<name>: the user who unpacked them may have the database in the same cache
        caches=(layout.cache_home(), found.parents[1]),
    )


def _packages_here() -> Path:
    """Return the packages that /usr of this cluster node includes. Raises HostUnsuitable."""
    try:
        return Path((INSIDE / "packages").read_text().strip())
    except OSError:
        raise HostUnsuitable(
            "this cluster does not say which packages it is made of: an older version of the course started it",
            "Stop it and start it again: hpclab down; hpclab up",
        ) from None


def readable(paths: Iterable[Path]) -> None:
    """Raise HostUnsuitable when the learner inside, another user, could not read ``paths``."""
    samples = [*paths, Path(sys.executable), Path(__file__)]
    for path in samples:
        if path.stat().st_mode & 0o005 != 0o005 and (path.is_dir() or not path.stat().st_mode & 0o004):
            raise HostUnsuitable(
                f"{path} is closed to other users, so nobody in an isolated cluster could read it",
                f"Open it: chmod -R go+rX {path if path.is_dir() else path.parent}",
            )


def interpreter_links(program: Path, folders: Sequence[Path]) -> dict[str, str]:
    """Return the symbolic links from ``program`` to the interpreter that are not in a visible folder."""
    links = {}
    seen = (Path("/usr"), *folders)
    while program.is_symlink():
        target = program.readlink()
        if not any(program.is_relative_to(folder) for folder in seen):
            links[str(program)] = str(target)
        program = program.parent / target
    return links


class WaitingProgram:
    """A program that has started on the login node and waits for its request."""

    def __init__(
        self,
        cluster: IsolatedCluster,
        who: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        folder: str = "/",
    ) -> None:
        self.who = who
        pipes = [os.pipe() for _ in range(3)]
        theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
        stdin, stdout, stderr = pipes[0][1], pipes[1][0], pipes[2][0]
        try:
            self.program = cluster.run(
                who, argv, stdin=theirs[0], stdout=theirs[1], stderr=theirs[2], folder=folder, env=env
            )
        except BaseException:
            for handle in (stdin, stdout, stderr):
                os.close(handle)
            raise
        finally:
            for handle in theirs:
                os.close(handle)
        self.session = PipeSession(ended=self.program.fileno(), stdin=stdin, stdout=stdout, stderr=stderr)

    def close(self) -> None:
        """Give it no request. It then ends, at the latest with its cluster."""
        self.session.close()
        self.program.close()


class IsolatedSandbox:
    """One isolated cluster, as grading asks for it.

    The program that runs the cells starts before it is needed: it imports its libraries while the daemons start.
    The one that runs the tests starts when everything of the learner's is stopped.
    """

    learner = "learner"

    def __init__(self, cluster: IsolatedCluster, lab: Lab) -> None:
        self.cluster, self._lab = cluster, lab
        self._files: dict[str, bytes] = {}
        self._folder = f"{TOP}/{lab.module}/{lab.name}"
        self._settings = dict(setting.split("=", 1) for setting in submit_settings("local"))
        self._runner: WaitingProgram | None = None

    def close(self) -> None:
        """Close the pipes of a program that was started and not used."""
        if self._runner:
            self._runner.close()

    def start_runner(self) -> None:
        """Start the program that runs cells, as the learner."""
        argv = [
            "/run/hpclab/bin/login-shell",
            self._folder,
            *isolated.module("hpclab.grading.execute.runner"),
        ]
        self._runner = WaitingProgram(self.cluster, "learner", argv, self._settings)

    @property
    def guarded(self) -> str:
        """Description of what enforces the limits of memory and processes."""
        return self.cluster.scope.enforced_by

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write ``files`` below the learner's folder, owned by the learner. Raises ClusterError."""
        self._files |= files
        with os.fdopen(os.memfd_create("files"), "w+b") as packed:
            _pack(packed, files, f"{self._lab.module}/{self._lab.name}")
            packed.seek(0)
            said = self._run_whole(["tar", "-C", HOME, "-xf", "-"], packed.fileno())
        if said:
            raise ClusterError(f"the submission could not be written into the sandbox: {said}")

    def run_cells(self, request: bytes, line: Callable[[bytes], None], limits: Limits) -> Ended:
        """Run the cells on the login node, within ``limits``."""
        if not self._runner:
            self.start_runner()
        runner, self._runner = self._runner, None
        assert runner
        killed = self.cluster.scope.memory_kills()
        self.cluster.watch(on=True)
        most = 2 * (limits.output_mib << 20) + SLACK
        ended = self._exchange(runner, request, line, seconds=limits.seconds, most=most, answers=False)
        limit = self.cluster.use().limit
        if not limit and ended.signal and self.cluster.scope.memory_kills() > killed:
            limit = Termination.MEMORY
        if limit and not ended.termination.is_limit:
            return msgspec.structs.replace(ended, termination=limit)
        return ended

    def stop_learner(self, limits: Limits) -> str:
        """Wait for jobs, then stop all of the learner's processes. Raises HpclabError if any can't be stopped."""
        return drain.stop(self.cluster, limits.job_wait_seconds)

    def run_tests(self, request: bytes, line: Callable[[bytes], bytes | None], seconds: float) -> Ended:
        """Run the tests on the login node as ``grader``."""
        env = {"HPCLAB_LEARNER": self.learner, "SCRATCH": f"/scratch/{self.learner}"}
        argv = isolated.module("hpclab.grading.assess.test_runner")
        tests = WaitingProgram(self.cluster, "grader", argv, env, self._folder)
        return self._exchange(tests, request, line, seconds=seconds, most=TESTS_BYTES, answers=True)

    def ask_program(self, request: bytes, limits: Limits, files: Mapping[str, bytes] | None = None) -> Answer:
        """Ask the question in a separate isolated cluster."""
        lines: list[bytes] = []
        with enter(self._lab, limits) as fresh:
            fresh.put(self._files if files is None else files)
            ended = fresh.run_cells(request, lines.append, limits)
        return protocol.answer(lines, ended)

    def _exchange(
        self,
        waiting: WaitingProgram,
        request: bytes,
        line: Callable[[bytes], bytes | None] | Callable[[bytes], None],
        *,
        seconds: float,
        most: int,
        answers: bool,
    ) -> Ended:
        began = time.monotonic()
        program, who = waiting.program, waiting.who
        try:
            outcome = waiting.session.run(request, line, seconds=seconds, most_bytes=most, answers=answers)
        finally:
            if program.wait(0) is None:
                self.cluster.kill(who, LOGIN)
        status = program.wait(AFTER_KILL)
        if status is None:
            raise DeadlineExceeded(f"a killed program of {who} did not end within {AFTER_KILL:g} s")
        code = os.waitstatus_to_exitcode(status)
        return protocol.ended(
            code, limit=outcome.limit, seconds=round(time.monotonic() - began, 3), errors=outcome.errors
        )

    def _run_whole(self, argv: Sequence[str], stdin: int) -> str:
        """Run a command as the learner; returns its output when it failed, else ''."""
        with os.fdopen(os.memfd_create("said"), "rb") as said, Path(os.devnull).open("wb") as nothing:
            program = self.cluster.run(
                "learner", argv, stdin=stdin, stdout=nothing.fileno(), stderr=said.fileno()
            )
            status = program.wait(60)
            said.seek(0)
            return "" if status == 0 else said.read(4096).decode(errors="replace") or f"status {status}"


def _pack(out: io.BufferedRandom, files: Mapping[str, bytes], folder: str) -> None:
    """Write a tar archive of ``files`` and ``folder`` below ``lab``."""
    top = Path(TOP).name
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in dict.fromkeys([f"{top}/{folder}", *(f"{top}/{path}" for path in files)]):
            entry = tarfile.TarInfo(name)
            entry.mtime = int(time.time())
            data = files.get(name.removeprefix(f"{top}/"))
            if data is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.mode, entry.size = 0o644, len(data)
                archive.addfile(entry, io.BytesIO(data))
