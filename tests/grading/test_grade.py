"""`hpclab grade` from what was handed in to the gradebook: a lab with a cluster, refusals, memory."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hpclab import layout
from hpclab.app.grading import version
from hpclab.app.grading.lab_model import lab_of
from hpclab.exercises import source
from hpclab.grading import batch, gradebook, settings
from hpclab.grading.execute import limits
from hpclab.grading.model import Lab, Result, Task, Verdict
from hpclab.grading.submissions import objects
from tests import need
from tests.cluster import conftest as accounts
from tests.grading import classroom
from tests.grading.classroom import Classroom
from tests.unit.grading import labs
from tests.unit.grading.labs import ANSWERS

pytestmark = pytest.mark.timeout(2400)

EX01 = layout.clone_folder() / "notebooks/01-slurm-basics/ex01-submit-monitor.md"


def reference(path: Path) -> dict[str, str]:
    """The author's answers, by cell."""
    cells = source.load(path).notebook.cells
    return {
        cell.id: "\n".join(line for line in cell.source.splitlines() if "### " not in line)
        for cell in cells
        if cell.metadata.hpclab.get("role") == "answer"
    }


def of_lab(place: Path, path: Path) -> Classroom:
    """A class that has the lab at ``path``."""
    return Classroom(place, lab_of(path), path)


def standing(room: Classroom) -> dict[str, float]:
    return {
        student: one.score
        for student, one in gradebook.read_scores(settings.load(room.folder), room.lab.name).items()
    }


def test_a_lab_with_a_cluster_gives_the_reference_all_and_nothing_for_nothing(place: Path) -> None:
    room = of_lab(place, EX01)
    room.enrol(["ada", "bo", "cy"])
    room.hand_in("ada", classroom.files(room.lab, reference(EX01)))
    room.hand_in("bo", classroom.files(room.lab, {}))
    room.grade()
    found = room.results()
    assert (found["ada"].verdict, found["ada"].earned) == (Verdict.PASS, 10), room.logs()
    assert (found["bo"].verdict, found["bo"].earned) == (Verdict.FAIL, 0), room.logs()
    assert {"estimate", "honest"} <= {job.name for job in found["ada"].jobs}
    assert standing(room) == {"ada": 10, "bo": 0}


def test_the_gradebook_has_the_marks_and_keeps_a_persons(place: Path) -> None:
    room = classroom.room(place)
    room.enrol(["ada", "bo"])
    room.hand_in("ada", classroom.files(room.lab, ANSWERS))
    room.hand_in("bo", {"notes.txt": b"sorry"})
    room.grade()
    assert standing(room) == {"ada": 3, "bo": 0}
    found = room.results()["bo"]
    assert found.verdict is Verdict.BAD_INPUT
    assert "Hand in the folder with ex01-numbers.ipynb" in found.problem


def test_without_a_yes_nothing_is_written(place: Path) -> None:
    room = classroom.room(place)
    room.enrol(["ada"])
    room.hand_in("ada", classroom.files(room.lab, ANSWERS))
    done = subprocess.run(
        room.command(), input="n\n", capture_output=True, text=True, timeout=classroom.GRADING, check=False
    )
    assert "Nothing is written" in done.stdout, done.stdout + done.stderr
    assert not (room.folder / "gradebook.db").exists()
    assert room.results()["ada"].verdict is Verdict.PASS  # it need not be graded again


def test_an_error_of_ours_is_no_mark_and_says_so(place: Path) -> None:
    text = labs.TEXT.replace(
        'evidence.check(evidence.text("sum.txt")',
        'raise evidence.NoAnswer("Slurm is silent", "Wait.")\nevidence.check(evidence.text("sum.txt")',
    )
    room = classroom.room(place, text)
    room.enrol(["ada"])
    room.hand_in("ada", classroom.files(room.lab, ANSWERS))
    done = room.grade(check=False)
    assert done.returncode == 1
    assert "1 of 1 submissions have no mark, for reasons of ours" in done.stderr
    assert "Slurm is silent" in done.stderr
    assert room.results()["ada"].marks == ()
    assert standing(room) == {}


def spool_of_one(place: Path, lab: Lab, files: dict[str, bytes]) -> Path:
    """A batch of one submission, laid out for its task."""
    limit = limits.limits(lab)
    content = objects.digest_of_files(files)
    task = Task(lab=lab.name, student="ada", number=1, hash=content, received=1.0, uuid="u", seed=1)
    one = batch.Batch(
        id="b",
        uuid="u",
        lab=lab.name,
        module=lab.module,
        nodes=lab.nodes,
        lab_digest=lab.digest,
        grader=version.grader(),
        limits=limit,
        needs=limits.needs(lab, limit, 1),
        tasks=(task,),
    )
    spool = place / f"spool-{lab.nodes}"
    batch.write_spool(spool, one, lab, lambda _hash: files)
    batch.write_round(spool, 1, [["ada"]])
    return spool


def test_nothing_is_marked_where_a_probe_gets_out(place: Path) -> None:
    """A task in whose process a probe says that it got out."""
    room = classroom.room(place)
    room.enrol(["ada"])
    room.hand_in("ada", classroom.files(room.lab, ANSWERS))
    script = (
        "import sys\nfrom hpclab.app.grading import array_task as task\nfrom hpclab.grading.execute import canary\n"
        "found = [canary.Probed(probe='network', held=False, detail='reached the host')]\n"
        "task.canary.probe = lambda *_, **__: found\n"
    )
    task = place / "task.py"
    task.write_text(script + "from pathlib import Path\nspool = Path(sys.argv[1])\ntask.main(spool, 1, 0)\n")
    spool = spool_of_one(place, room.lab, {})
    done = subprocess.run(
        [sys.executable, task, spool], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode != 0
    refusal = batch.refusal(spool)
    assert refusal
    assert "nothing is marked" in refusal.problem
    assert "network: reached the host" in refusal.problem
    assert not list((spool / "results").iterdir())


# ---- an account without rights ----------------------------------------------------------------


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """A real account with sub-ids, and what runs a command as it; removed afterwards."""
    if os.geteuid() != 0:
        pytest.skip("only root can make an account; the other tests are run by one without rights")
    need.program("newuidmap", "uidmap")
    accounts.remove_left_users()
    name = f"{accounts.USER_PREFIX}{os.getpid()}"
    try:
        accounts.admin("useradd", "--create-home", "--shell", "/bin/bash", name)
        accounts.give_subids(name)
        seen = [
            layout.clone_folder(),
            Path(sys.prefix),
            Path(sys.base_prefix),
            layout.cache_home() / "packages",
        ]
        yield name, [*accounts.view_of_a_stranger(seen), "runuser", "-u", name, "--", "env", "-i"]
    finally:
        accounts.remove_user(name)


def test_an_ordinary_user_grades_a_class(stranger: tuple[str, list[str]]) -> None:
    name, prefix = stranger
    home = Path("/home", name)
    home.chmod(0o755)
    room = classroom.room(home)
    room.enrol(["ada", "bo"])
    room.hand_in("ada", classroom.files(room.lab, ANSWERS))
    room.hand_in("bo", classroom.files(room.lab, {}))
    cache = home / "cache"
    cache.mkdir()
    (cache / "packages").symlink_to(layout.cache_home() / "packages")
    accounts.admin("chown", "-R", f"{name}:", str(home))
    settings_of = {
        "HOME": home,
        "USER": name,
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "HPCLAB_STATE": home / "state",
        "HPCLAB_CACHE": cache,
        "HPCLAB_LAB": home / "lab",
    }
    words = [f"{key}={value}" for key, value in settings_of.items()]
    done = subprocess.run(
        [*prefix, *words, *room.command("--yes")],
        capture_output=True,
        text=True,
        timeout=classroom.GRADING,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + room.logs()
    found = {student: (one.verdict, one.earned) for student, one in room.results().items()}
    assert found == {"ada": (Verdict.PASS, 3), "bo": (Verdict.FAIL, 0)}
    assert "sub-ids" in room.logs()
    assert not list((home / "state").glob("clusters/run-*"))


@pytest.fixture
def nobody() -> Iterator[pwd.struct_passwd]:
    """A real account with its own id and no other; removed afterwards."""
    if os.geteuid() != 0:
        pytest.skip("only root can make an account")
    accounts.remove_left_users()
    name = f"{accounts.USER_PREFIX}{os.getpid()}"
    try:
        accounts.admin("useradd", "--no-create-home", "--home-dir", "/nonexistent", name)
        for path in map(Path, ("/etc/subuid", "/etc/subgid")):  # some systems give sub-ids to everybody
            lines = path.read_text().splitlines(True) if path.exists() else []
            path.write_text("".join(line for line in lines if not line.startswith(f"{name}:")))
        yield pwd.getpwnam(name)
    finally:
        accounts.remove_user(name)


def test_with_one_id_plain_labs_are_graded_and_labs_with_a_cluster_refused(
    place: Path, nobody: pwd.struct_passwd
) -> None:
    """As on the nodes of a site that gives its users no sub-ids."""
    seen = accounts.view_of_a_stranger([layout.clone_folder(), Path(sys.prefix), Path(sys.base_prefix)])
    as_nobody = [*seen, "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]

    def task(lab: Lab, files: dict[str, bytes]) -> tuple[Path, subprocess.CompletedProcess[str]]:
        spool = spool_of_one(place, lab, files)
        accounts.admin("chown", "-R", f"{nobody.pw_uid}:{nobody.pw_gid}", str(spool))
        words = [*as_nobody, sys.executable, "-I", "-m", "hpclab.app.grading.array_task", spool, "1", "0"]
        settings_of = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        return spool, subprocess.run(
            words, capture_output=True, text=True, timeout=600, cwd="/", env=settings_of, check=False
        )

    room = classroom.room(place)
    spool, done = task(room.lab, classroom.files(room.lab, ANSWERS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "namespaces alone: this account lacks" in done.stdout
    result = msgspec.json.decode((spool / "results/ada.json").read_bytes(), type=Result)
    assert (result.verdict, result.earned) == (Verdict.PASS, 3), done.stdout

    lab = lab_of(EX01)
    spool, done = task(lab, classroom.files(lab, {}))
    assert done.returncode != 0
    refusal = batch.refusal(spool)
    assert refusal and "a lab with a cluster cannot be graded here" in refusal.problem
    assert "usermod --add-subuids" in refusal.remedy
    assert not list((spool / "results").iterdir())


# ---- memory ----------------------------------------------------------------------------------


LOUD = {
    "prints": "print('x' * 100_000_000)",
    "prints-bytes": "import os\nfor _ in range(100):\n    os.write(1, b'\\0' * 1_000_000)",
    "displays": "from IPython.display import display\nfor number in range(20_000):\n    display(number)",
    "rich": "from IPython.display import HTML, display\ndisplay(HTML('<b>' * 1_500_000))",
    "forged": (
        'import os\nline = b\'{"nonce": "x", "cell": "two", "outputs": [\' + b\'[],\' * 9_000_000 + b\'[]]}\\n\'\n'
        "for number in range(3, 300):\n    try:\n        os.write(number, line)\n    except OSError:\n        pass"
    ),
    "metadata": "",
}
# VmHWM is this program's own peak; ru_maxrss would begin with that of the process that started it.
MEASURED = """
import json, re, sys
from pathlib import Path
import msgspec
from hpclab.grading import worker
from hpclab.grading.execute import limits
from hpclab.grading.model import Lab, Task
from hpclab.grading.execute.plain_sandbox import PlainSandboxes
lab = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Lab)
data = Path(sys.argv[2]).read_bytes()
task = Task(lab=lab.name, student="a", number=1, hash="h", received=1.0, uuid="u", seed=1)
with PlainSandboxes() as sandboxes:
    found = worker.grade(
        task, lab, lambda: {f"{lab.name}.ipynb": data}, sandboxes.enter, limits.limits(lab), grader="x", tries=1
    )
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
print(json.dumps([str(found.verdict), peak, len(found.executed), found.problem]))
"""


@pytest.mark.parametrize("name", list(LOUD))
def test_who_grades_stays_small_whatever_is_printed(place: Path, name: str) -> None:
    lab: Lab = labs.make(place / "labs")
    files = classroom.files(lab, ANSWERS, LOUD[name])
    data = files[f"{lab.name}.ipynb"]
    if name == "metadata":
        made = json.loads(data)
        made["metadata"]["big"] = [[]] * 2_500_000
        data = json.dumps(made).encode()
    (place / "lab.json").write_bytes(msgspec.json.encode(lab))
    (place / "work.ipynb").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, place / "lab.json", place / "work.ipynb"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    verdict, peak, executed, problem = json.loads(done.stdout.splitlines()[-1])
    assert verdict == {"forged": "TAMPER", "metadata": "PASS"}.get(name, "OUTPUT_LIMIT"), problem
    assert peak < 200  # MB
    assert executed < 2_000_000
