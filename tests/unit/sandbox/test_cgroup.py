"""Which control groups a user may make, and what a sandbox's are limited to; files below tmp_path are the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpclab.errors import ClusterError
from hpclab.sandbox import cgroup
from hpclab.sandbox.limits import IsolationLimits

LIMITS = IsolationLimits(seconds=60, memory_mib=1000, processes=100, disk_mib=50, inodes=500)
OFFERED = "cpuset cpu io memory hugetlb pids rdma misc\n"


def group(path: Path, offered: str = OFFERED) -> Path:
    path.mkdir(exist_ok=True)
    (path / "cgroup.controllers").write_text(offered)
    for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        (path / name).write_text("")
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """/proc/self/cgroup of a process in user.slice/mine."""
    path = tmp_path / "own"
    path.write_text("0::/user.slice/mine\n")
    return path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    group(tmp_path / "cgroup")
    group(tmp_path / "cgroup/user.slice")
    group(tmp_path / "cgroup/user.slice/mine")
    return tmp_path / "cgroup"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Groups that this user may not write to. (Tests may run as root, to whom access(2) forbids nothing.)"""
    paths: set[Path] = set()

    def allowed(path: Path, mode: int) -> bool:
        return (path if path.is_dir() else path.parent) not in paths

    monkeypatch.setattr("os.access", allowed)
    return paths


def test_root_begins_at_the_top(v2: Path, own: Path) -> None:
    assert cgroup.top(by_root=True, root=v2, own=own) == v2
    assert cgroup.version(by_root=True, root=v2, own=own) == "v2"


def test_root_falls_back_to_the_own_group(v2: Path, own: Path, closed: set[Path]) -> None:
    closed.add(v2)
    assert cgroup.top(by_root=True, root=v2, own=own) == v2 / "user.slice/mine"


def test_an_ordinary_user_needs_a_delegated_group(v2: Path, own: Path, closed: set[Path]) -> None:
    closed |= {v2, v2 / "user.slice"}
    assert cgroup.top(by_root=False, root=v2, own=own) == v2 / "user.slice/mine"
    closed.add(v2 / "user.slice/mine")
    assert cgroup.version(by_root=False, root=v2, own=own) == "none"


def test_a_second_cluster_finds_the_group_the_first_one_used(v2: Path, own: Path) -> None:
    group(v2 / "user.slice/mine" / cgroup.OTHERS)
    own.write_text(f"0::/user.slice/mine/{cgroup.OTHERS}\n")
    assert cgroup.top(by_root=False, root=v2, own=own) == v2 / "user.slice/mine"


@pytest.mark.parametrize("offered", ["cpu io\n", "memory\n", "pids\n", "\n"])
def test_every_controller_must_be_offered(v2: Path, own: Path, offered: str) -> None:
    (v2 / "user.slice/mine/cgroup.controllers").write_text(offered)
    assert cgroup.version(by_root=False, root=v2, own=own) == "none"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/\n", ""),
        ("0::/user.slice/a b.scope\n", "user.slice/a b.scope"),
        ("1:name=systemd:/x\n0::/x\n", None),  # a mixture, which Slurm refuses
        ("4:memory:/x\n", None),
        ("0::/../elsewhere\n", None),  # outside the cgroup namespace we see
        ("", None),
    ],
)
def test_where_a_process_is(text: str, path: str | None) -> None:
    assert cgroup.path_of(text) == path


def test_a_mixture_of_versions_is_not_taken_for_version_2(v2: Path, own: Path) -> None:
    own.write_text("4:memory:/x\n0::/user.slice/mine\n")
    assert cgroup.version(by_root=True, root=v2, own=own) == "none"


# ---- around a plain sandbox ----------------------------------------------------------------------


def hierarchy(root: Path, lines: str, *files: str) -> Path:
    own = root / "own"
    own.write_text(lines)
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("0")
    return own


def test_a_group_is_made_where_its_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = hierarchy(tmp_path, "9:name=systemd:/\n8:pids:/\n4:memory:/job/step\n1:cpu:/\n0::/\n")
    for folder in ("pids", "memory/job/step", "cpu"):
        (tmp_path / folder).mkdir(parents=True)
    real = Path.mkdir

    def mkdir(path: Path, *words: object, **named: object) -> None:
        """The kernel fills a new group with its files."""
        real(path, *words, **named)  # type: ignore[arg-type]
        name = "memory.limit_in_bytes" if "memory" in path.parts else "pids.max"
        (path / name).write_text("max")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    made = cgroup.plain_group(root=tmp_path, own=own)
    assert made and sorted(path.parent for path in made.paths) == [
        tmp_path / "memory/job/step",
        tmp_path / "pids",
    ]
    memory, pids = sorted(made.paths)
    made.limit(memory_mib=100, tasks=7)
    assert (memory / "memory.limit_in_bytes").read_text() == str(100 << 20)
    assert (pids / "pids.max").read_text() == "7"
    made.add(42)
    assert (pids / "cgroup.procs").read_text() == "42"


def test_where_no_group_may_be_made_there_is_none(tmp_path: Path) -> None:
    assert cgroup.plain_group(root=tmp_path, own=hierarchy(tmp_path, "0::/user.slice/x.scope\n")) is None
    assert cgroup.plain_group(root=tmp_path, own=tmp_path / "none") is None
    # Beside this process's own group of version 2, but it is given no controller there: nothing to be had.
    own = hierarchy(
        tmp_path, "0::/user.slice/x.scope\n", "cgroup.controllers", "user.slice/x.scope/cgroup.procs"
    )
    assert cgroup.plain_group(root=tmp_path, own=own) is None
    assert [path.name for path in (tmp_path / "user.slice").iterdir()] == ["x.scope"]


def test_groups_of_processes_that_were_killed_are_swept_away(tmp_path: Path) -> None:
    own = hierarchy(tmp_path, "4:memory:/\n")
    gone, here, others = (
        tmp_path / "memory" / name
        for name in ("hpclab-sandbox-99999999-ab", f"hpclab-isolated-{os.getpid()}-cd", "hpclab-else")
    )
    for path in (gone, here, others):
        path.mkdir(parents=True)
    cgroup.sweep(cgroup.plain_parents(tmp_path, own))
    assert [path.exists() for path in (gone, here, others)] == [False, True, True]


def test_what_the_kernel_killed_for_its_memory_is_known(tmp_path: Path) -> None:
    killed = cgroup.Group([tmp_path])
    assert not killed.memory_kills()
    for name, text in (
        ("memory.events", "low 0\noom 1\noom_kill 1\n"),
        ("memory.oom_control", "under_oom 0\noom_kill 2\n"),
    ):
        (tmp_path / name).write_text(text)
        assert killed.memory_kills()
        (tmp_path / name).write_text(
            text.replace("oom_kill 1", "oom_kill 0").replace("oom_kill 2", "oom_kill 0")
        )
        assert not killed.memory_kills()


# ---- around an isolated cluster ------------------------------------------------------------------


@pytest.fixture
def kernel_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel fills a new group with its files."""
    real = Path.mkdir

    def mkdir(path: Path, *words: object, **named: object) -> None:
        real(path, *words, **named)  # type: ignore[arg-type]
        if "pids" in path.parts:
            names = ["pids.max"]
        elif "memory" in path.parts:
            names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        else:
            names = ["memory.max", "memory.swap.max", "pids.max"]
        for name in names:
            (path / name).write_text("max")

    monkeypatch.setattr(Path, "mkdir", mkdir)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cgroup"
    for name in cgroup.CONTROLLERS:
        (root / name / "job").mkdir(parents=True)
        for folder in (root / name, root / name / "job"):
            (folder / "cgroup.procs").write_text("")
    own = tmp_path / "own"
    own.write_text("5:pids:/job\n4:memory:/job\n0::/\n")
    monkeypatch.setattr(cgroup, "ROOT", root)
    monkeypatch.setattr(cgroup, "OWN", own)
    monkeypatch.setattr(cgroup.Group, "remove", lambda _: True)  # files of a made-up group stay
    return root


def test_groups_are_made_below_the_own_one(tree: Path, kernel_files: None) -> None:
    with cgroup.scope("v1", None, LIMITS) as made:
        memory = made.learner[0].parent
        assert memory.parent.parent == tree / "memory/job"
        assert (memory / "memory.limit_in_bytes").read_text() == str(1000 << 20)
        assert int((memory.parent / "memory.limit_in_bytes").read_text()) > 1000 << 20
        assert made.enforced_by.startswith("cgroup v1")
        (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
        assert made.memory_kills() == 3


def test_version_2_likewise(
    tmp_path: Path, tree: Path, kernel_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Path] = []
    monkeypatch.setattr(cgroup, "hand_out", handed.append)
    top = tmp_path / "mine"
    Path.mkdir(top)
    with cgroup.scope("v2", top, LIMITS) as made:
        [learner], [everything] = made.learner, made.all
        assert handed == [top]
        assert (learner.parent / "memory.max").read_text() == str(1000 << 20)
        assert (learner.parent / "memory.swap.max").read_text() == "0"
        assert everything.parent.name == "main" and everything.parent.parent == learner.parent.parent
        assert (learner.parent.parent / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_a_limit_that_the_kernel_refuses_is_an_error(
    tree: Path, kernel_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_text

    def write_text(path: Path, text: str) -> int:
        if path.name == "memory.limit_in_bytes":
            raise PermissionError(1, "not permitted", str(path))
        return real(path, text)

    monkeypatch.setattr(Path, "write_text", write_text)
    with pytest.raises(ClusterError, match="refused a control group"), cgroup.scope("v1", None, LIMITS):
        pass


def test_where_there_is_no_group_it_says_so() -> None:
    with cgroup.scope("none", None, LIMITS) as made:
        assert made.all == made.learner == () and "no cgroup" in made.enforced_by and made.memory_kills() == 0
