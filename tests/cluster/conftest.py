"""Real clusters for the tests, started through the command line as a person would.

``cluster`` is shared by a whole run: a test that breaks it for others starts its own with
``start``. ``ordinary`` is a cluster of a user without any rights; for root it makes that user.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from hpclab import layout
from hpclab.cluster import entry
from hpclab.shell import wait_until
from tests import need

ROOT = Path(__file__).resolve().parents[2]
# Not the `hpclab` script: its first line may name an interpreter that moved.
HPCLAB = [sys.executable, "-c", "from hpclab.cli import main; main()"]
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED", "DEADLINE")
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Person:
    """Who starts clusters, and how: ``prefix`` goes before each command, ``environment`` is all it sees."""

    home: Path
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()

    def command(self, *argv: str, state: Path) -> list[str]:
        settings = [f"{key}={value}" for key, value in self.environment.items()]
        return [*self.prefix, "env", "-i", *settings, f"HPCLAB_STATE={state}", *HPCLAB, *argv]


@dataclass
class Cluster:
    """One cluster, and what a person does with it."""

    person: Person
    name: str
    state: Path
    script_options: list[str] = field(
        default_factory=lambda: ["--constraint=gpu", "--qos=regular", "--time=5"]
    )

    def hpclab(self, *argv: str, check: bool = True, timeout: float = 120, stdin: str | None = None) -> Done:
        """``hpclab ARGV``; its own name is added after the first word."""
        done = subprocess.run(
            self.command(*argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd="/",
            check=False,
        )
        if check:
            assert done.returncode == 0, f"hpclab {argv} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def command(self, *argv: str) -> list[str]:
        return self.person.command(argv[0], "--name", self.name, *argv[1:], state=self.state)

    def up(self, *options: str, timeout: float = 180) -> Done:
        return self.hpclab("up", *options, timeout=timeout)

    def down(self, *options: str) -> Done:
        return self.hpclab("down", *(options or ("--force", "--purge")))

    def run(
        self,
        what: str | Sequence[str],
        *,
        node: str = "login",
        user: str = "",
        check: bool = True,
        timeout: float = 60,
        stdin: str | None = None,
    ) -> Done:
        """Run a program on a node, or, given a string, a shell script in the person's scratch folder."""
        argv = ["bash", "-c", f'cd "$SCRATCH" || exit\n{what}'] if isinstance(what, str) else list(what)
        where = ["--node", node, *(["--user", user] if user else [])]
        return self.hpclab("exec", *where, "--", *argv, check=check, timeout=timeout, stdin=stdin)

    def out(self, what: str | Sequence[str], **options: object) -> str:
        return self.run(what, **options).stdout.strip()  # type: ignore[arg-type]

    def write(self, name: str, text: str, *, user: str = "") -> None:
        """Put a file into the person's scratch folder."""
        self.run(f'cat >"{name}"', stdin=text, user=user)

    def sbatch(self, script: str, *options: str, user: str = "", plain: bool = False) -> str:
        """Submit ``script`` from the scratch folder; the job's id. ``plain``: with no option of our own."""
        words = [*([] if plain else self.script_options), *options]
        done = self.try_sbatch(script, *words, user=user)
        assert done.returncode == 0, f"sbatch {words} refused:\n{done.stderr}"
        return done.stdout.strip().split(";")[0]

    def try_sbatch(self, script: str, *options: str, user: str = "") -> Done:
        """Submit with exactly these options; it may be refused."""
        if not script.startswith("#!"):
            script = "#!/bin/bash\n" + script
        words = " ".join(f"'{option}'" for option in options)
        return self.run(f"sbatch --parsable {words}", stdin=script, user=user, check=False)

    def state_of(self, job: str) -> str:
        """The job's state in accounting, in one word; empty as long as accounting has not heard of it."""
        rows = self.out(f"sacct -X -n -P -o state -j {job}").splitlines()
        return rows[-1].split()[0] if rows else ""

    def records(self, job: str, fields: str, count: int = 1, seconds: float = 20) -> list[str]:
        """The rows of sacct once they are whole: the controller sends the rest of a record within 5 s."""

        def whole() -> list[str] | None:
            rows = self.out(f"sacct -X -n -P -o timelimitraw,{fields} -j {job}").splitlines()
            return (
                [row.split("|", 1)[1] for row in rows]
                if len(rows) == count and all(row[0] != "|" for row in rows)
                else None
            )

        return wait_until(whole, f"{count} whole records of job {job}", seconds=seconds, every=0.2)

    def wait(
        self, job: str, states: str | Sequence[str] = "COMPLETED", seconds: float = 60, passing: str = ""
    ) -> str:
        """Wait until the job is in one of ``states``; another final state than ``passing`` fails at once."""
        wanted = (states,) if isinstance(states, str) else tuple(states)

        def there() -> str | None:
            state = self.state_of(job)
            if state in wanted:
                return state
            assert state == passing or state not in FINAL, (
                f"job {job} is {state}, not {wanted}:\n{self.story(job)}"
            )
            return None

        try:
            return wait_until(there, f"job {job} to be {' or '.join(wanted)}", seconds=seconds, every=0.1)
        except Exception as late:
            raise AssertionError(f"{late}\n{self.story(job)}") from None

    def output(self, job: str) -> str:
        return self.out(f"cat slurm-{job}.out")

    def story(self, job: str) -> str:
        """All there is to know about a job that went wrong."""
        return self.run(
            f"scontrol show job {job}; sacct -D -j {job} -o jobid,state%20,exitcode,start,end,nodelist;"
            f" cat slurm-{job}*.out",
            check=False,
        ).stdout

    def field(self, job: str, name: str) -> str:
        """One field of the job's accounting record (first row)."""
        return self.out(f"sacct -X -n -P -o {name} -j {job}").splitlines()[0]

    @property
    def folder(self) -> Path:
        return self.state / "clusters" / self.name

    @property
    def supervisor(self) -> int:
        return int(json.loads((self.folder / "supervisor.json").read_text())["pid"])

    def as_controller(self, *argv: str, check: bool = True) -> Done:
        """Run ``argv`` as the cluster's own root, beside the controller."""
        into = [*self.person.prefix, *entry.into_controller(self.supervisor, *argv)]
        done = subprocess.run(into, capture_output=True, text=True, timeout=60, check=False)
        if check:
            assert done.returncode == 0, f"{argv} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def processes(self) -> list[psutil.Process]:
        """Every process of the cluster, as the host sees it."""
        top = psutil.Process(self.supervisor)
        return [top, *top.children(recursive=True)]

    def named(self, program: str) -> list[psutil.Process]:
        """The processes of the cluster that run ``program``."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # short-lived ones come and go
                if process.name() == program:
                    found.append(process)
        return found


def myself() -> Person:
    """Whoever runs the tests."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key in ("PATH", "HOME", "USER", "LANG", "HPCLAB_CACHE", "PYTHONPATH")
    }
    return Person(Path.home(), kept)


@contextlib.contextmanager
def own_state(person: Person, tag: str = "") -> Iterator[Path]:
    """A state folder that is gone afterwards."""
    parent = None if person.prefix else "/var/tmp"  # not /tmp: it is often small and in memory
    state = Path(tempfile.mkdtemp(prefix=f"hpclab-tests-{tag}", dir=parent or person.home))
    if person.prefix:
        shutil.chown(state, person.environment["USER"])
    try:
        yield state
    finally:
        shutil.rmtree(state, ignore_errors=True)


@contextlib.contextmanager
def started(person: Person, name: str, *options: str) -> Iterator[Cluster]:
    """A running cluster that is gone afterwards."""
    with own_state(person) as state:
        cluster = Cluster(person, name, state)
        try:
            cluster.up(*options)
            yield cluster
        finally:
            cluster.hpclab("down", "--force", "--purge", check=False)


@pytest.fixture(scope="session")
def me() -> Person:
    return myself()


@pytest.fixture(scope="session")
def cluster(me: Person) -> Iterator[Cluster]:
    """Four nodes, shared by all tests."""
    with started(me, f"t{os.getpid()}") as made:
        yield made


@pytest.fixture
def start(me: Person, request: pytest.FixtureRequest) -> Iterator[Callable[..., Cluster]]:
    """A function that starts a cluster for one test: ``start("--nodes", "1")``."""
    with contextlib.ExitStack() as stack:
        count = 0

        def begin(*options: str, tag: str = "") -> Cluster:
            nonlocal count
            count += 1
            name = f"t{os.getpid()}-{tag or count}"
            return stack.enter_context(started(me, name, *options))

        yield begin


@pytest.fixture
def stopped(me: Person) -> Iterator[Cluster]:
    """A cluster that nobody has started yet."""
    with own_state(me) as state:
        cluster = Cluster(me, f"t{os.getpid()}-s", state)
        try:
            yield cluster
        finally:
            cluster.hpclab("down", "--force", "--purge", check=False)


# ---- a user without rights ------------------------------------------------------------------

USER_PREFIX = "hpclabtest"


@pytest.fixture(scope="session")
def ordinary(me: Person) -> Iterator[Cluster]:
    """Four nodes, started by a user without rights; root makes one for it."""
    if os.geteuid() != 0:
        with started(me, f"u{os.getpid()}") as made:
            yield made
        return
    with new_user() as person, started(person, f"u{os.getpid()}") as made:
        yield made


@contextlib.contextmanager
def new_user() -> Iterator[Person]:
    """A real account with sub-ids and a clone of its own; removed afterwards, whatever happens."""
    need.program("newuidmap", "uidmap")
    remove_left_users()
    name = f"{USER_PREFIX}{os.getpid()}"
    try:
        admin("useradd", "--create-home", "--shell", "/bin/bash", name)
        give_subids(name)
        home = Path(pwd.getpwnam(name).pw_dir)
        clone, cache = home / "a clone", home / "cache"
        for part in ("src", "sites", "notebooks", "templates"):
            shutil.copytree(ROOT / part, clone / part, ignore=shutil.ignore_patterns("__pycache__"))
        cache.mkdir()
        packages = layout.cache_home() / "packages"  # the machine's, so that they are not fetched again
        (cache / "packages").symlink_to(packages)
        admin("chown", "-R", f"{name}:", str(home))
        yield Person(
            home,
            {
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                "HOME": str(home),
                "USER": name,
                "HPCLAB_CACHE": str(cache),
                "PYTHONPATH": str(clone / "src"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            [
                *view_of_a_stranger([Path(sys.prefix), Path(sys.base_prefix), packages]),
                "runuser",
                "-u",
                name,
                "--",
            ],
        )
    finally:
        remove_user(name)


def admin(*argv: str, check: bool = True) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, f"{argv} gave {done.returncode}: {done.stderr}"


def give_subids(name: str) -> None:
    """useradd gives sub-ids only where login.defs says so."""
    for path, option in {"/etc/subuid": "--add-subuids", "/etc/subgid": "--add-subgids"}.items():
        Path(path).touch()
        rows = [line.split(":") for line in Path(path).read_text().splitlines() if line.count(":") == 2]
        if not any(row[0] == name for row in rows):
            first = max([int(row[1]) + int(row[2]) for row in rows] + [1_000_000])
            admin("usermod", option, f"{first}-{first + 65535}", name)


def view_of_a_stranger(paths: Sequence[Path]) -> list[str]:
    """A command prefix under which everybody can reach ``paths``.

    Python often lies below /root, which is closed to others. In a mount namespace of their own,
    closed folders are covered by empty ones in which only ``paths`` are shown.
    """
    real = [path.resolve() for path in paths]
    closed = {parent for path in real for parent in path.parents if not parent.stat().st_mode & stat.S_IXOTH}
    tops = sorted(one for one in closed if not any(parent in closed for parent in one.parents))
    hidden = sorted({path for path in real if any(path.is_relative_to(top) for top in tops)})
    if not tops:
        return []
    script = "set -e\nmount -t tmpfs -o mode=755 stage /mnt\n"
    for number, path in enumerate(hidden):
        script += f"mkdir /mnt/{number}\nmount --rbind '{path}' /mnt/{number}\n"
    script += "".join(f"mount -t tmpfs -o mode=755 cover '{top}'\n" for top in tops)
    for number, path in enumerate(hidden):
        script += f"mkdir -p '{path}'\nmount --rbind /mnt/{number} '{path}'\n"
    return ["unshare", "--mount", "--", "sh", "-c", script + 'umount -l /mnt\nexec "$@"', "sh"]


def remove_left_users() -> None:
    """Accounts of test runs that were killed."""
    for one in pwd.getpwall():
        number = one.pw_name.removeprefix(USER_PREFIX)
        if number != one.pw_name and number.isdigit() and not psutil.pid_exists(int(number)):
            remove_user(one.pw_name)


def remove_user(name: str) -> None:
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        return
    mine = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == uid:
                process.kill()
                mine.append(process)
    psutil.wait_procs(mine, timeout=10)
    admin("userdel", "--remove", name, check=False)
    home = Path("/home", name)
    deadline = time.monotonic() + 10
    while home.exists() and time.monotonic() < deadline:
        shutil.rmtree(home, ignore_errors=True)  # sub-ids own what the cluster made
