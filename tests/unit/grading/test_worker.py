"""One submission to its result, in a sandbox that keeps nothing in: what is around the sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest

from hpclab.errors import ClusterError
from hpclab.grading import worker
from hpclab.grading.batch import marks_of
from hpclab.grading.execute import limits
from hpclab.grading.execute.runner_log import RunnerLog
from hpclab.grading.model import Lab, Result, Task, Verdict
from tests.unit.grading import labs
from tests.unit.grading.fake import Place
from tests.unit.grading.labs import ANSWERS, at, code


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return labs.make(tmp_path_factory.mktemp("course"))


def task(lab: Lab) -> Task:
    return Task(lab=lab.name, student="ada", number=1, hash="0" * 64, received=1.0, uuid="u", seed=7)


def graded(lab: Lab, place: Place, files: Mapping[str, bytes], **more: Any) -> Result:
    chosen = msgspec.structs.replace(limits.limits(lab), **more)
    return worker.grade(task(lab), lab, lambda: files, place.enter, chosen, grader="test")


def test_a_right_one_earns_all_and_the_same_each_time(lab: Lab, tmp_path: Path) -> None:
    place = Place(tmp_path)
    files = labs.files(labs.notebook(lab, ANSWERS))
    first, second = graded(lab, place, files), graded(lab, place, files)
    assert (first.verdict, first.earned, first.points) == (Verdict.PASS, 3, 3)
    assert marks_of(first) == marks_of(second)
    assert place.entered[0].steps == ["put", "run_cells", "stop_learner", "run_tests"]
    assert first.run and first.run.ended == "done"
    assert first.tries == 1
    assert first.task == task(lab)
    nbformat.validate(nbformat.reads(first.executed, as_version=4))


def test_an_untouched_one_earns_nothing(lab: Lab, tmp_path: Path) -> None:
    found = graded(lab, Place(tmp_path), labs.files(labs.notebook(lab)))
    assert (found.verdict, found.earned, found.points) == (Verdict.FAIL, 0, 3)


def test_marks_and_words_are_those_of_the_tests(lab: Lab, tmp_path: Path) -> None:
    answers = ANSWERS | {"two": 'open("two.txt", "w").write("22")'}
    found = graded(lab, Place(tmp_path), labs.files(labs.notebook(lab, answers)))
    assert found.verdict is Verdict.PARTIAL
    assert [(mark.test, mark.earned, mark.hidden) for mark in found.marks] == [
        ("two-tests", 1, False),
        ("two-hidden-tests", 0, True),
        ("sum-tests", 1, False),
    ]
    hidden = found.marks[1]
    assert (hidden.found, hidden.expected, hidden.look) == ("", "", "")
    assert "another number" in hidden.private
    assert "another number" not in str([msgspec.structs.replace(mark, private="") for mark in found.marks])
    assert 'strip() == \\"2' not in found.executed  # the hidden test's text


def test_a_cell_that_raises_and_noise_on_stderr_cost_nothing(lab: Lab, tmp_path: Path) -> None:
    made = labs.notebook(lab, ANSWERS)
    made["cells"].insert(0, code("import sys\nprint('noise', file=sys.stderr)\n1 / 0"))
    found = graded(lab, Place(tmp_path), labs.files(made))
    assert found.verdict is Verdict.PASS
    assert found.run and found.run.ended == "error"
    assert "noise" in found.executed
    assert "ZeroDivisionError" in found.executed


def test_files_of_the_learner_lie_beside_the_notebook_and_never_over_the_lab_s(
    lab: Lab, tmp_path: Path
) -> None:
    given = msgspec.structs.replace(lab, files={"templates/job.sbatch": b"ours"})
    laid = worker.learner_files(given, {"data.csv": b"1", "templates/job.sbatch": b"theirs"})
    assert laid == {
        "templates/job.sbatch": b"ours",
        f"{lab.module}/{lab.name}/data.csv": b"1",
        f"{lab.module}/{lab.name}/templates/job.sbatch": b"theirs",
    }


def test_what_cannot_be_read_never_enters_a_sandbox(lab: Lab, tmp_path: Path) -> None:
    place = Place(tmp_path)
    found = graded(lab, place, {"x.txt": b""})
    assert (found.verdict, found.earned, found.points) == (Verdict.BAD_INPUT, 0, 3)
    assert "there is no notebook" in found.problem
    assert not place.entered


def test_changed_points_earn_nothing_and_say_what_was_changed(lab: Lab, tmp_path: Path) -> None:
    made = labs.notebook(lab, ANSWERS)
    made["cells"][at(made, "two-tests")]["metadata"]["nbgrader"]["points"] = 100
    found = graded(lab, Place(tmp_path), labs.files(made))
    assert (found.verdict, found.earned, found.points) == (Verdict.TAMPER, 0, 3)
    assert found.run and "'points'" in found.run.detail


def test_a_process_that_ends_keeps_what_it_has_earned(lab: Lab, tmp_path: Path) -> None:
    made = labs.notebook(lab, ANSWERS)
    made["cells"].insert(at(made, "two") + 1, code("import os\nos._exit(0)"))
    found = graded(lab, Place(tmp_path), labs.files(made))
    assert (found.verdict, found.earned) == (Verdict.CRASH, 2)
    assert found.run and found.run.last_cell == "own-1"


def test_forged_lines_are_tampering(lab: Lab, tmp_path: Path) -> None:
    forge = (
        "import os\nfor number in range(3, 260):\n    try:\n"
        '        os.write(number, b\'{"cell": "two", "status": "ok"}\\n\')\n    except OSError:\n        pass'
    )
    made = labs.notebook(lab, ANSWERS)
    made["cells"].insert(0, code(forge))
    found = graded(lab, Place(tmp_path), labs.files(made))
    assert (found.verdict, found.earned, found.points) == (Verdict.TAMPER, 0, 3)


# ---- what goes wrong here --------------------------------------------------------------------


@pytest.mark.parametrize("step", ["enter", "put", "run_cells", "stop_learner", "run_tests"])
@pytest.mark.parametrize("kind", [ClusterError("no node came up"), OSError(28, "full"), KeyError("bug")])
def test_a_failure_of_ours_is_tried_again_in_a_new_sandbox(
    lab: Lab, tmp_path: Path, step: str, kind: Exception
) -> None:
    place = Place(tmp_path, **{step: kind})
    found = graded(lab, place, labs.files(labs.notebook(lab, ANSWERS)))
    assert (found.verdict, found.tries) == (Verdict.PASS, 2)
    assert len(place.entered) == 2


def test_a_failure_that_stays_gives_no_mark_at_all(lab: Lab, tmp_path: Path) -> None:
    class Never(Place):
        def __init__(self) -> None:
            super().__init__(tmp_path)

        @property
        def broken(self) -> dict[str, Exception]:
            return {"run_tests": ClusterError("no node came up", "Look at its log.")}

        @broken.setter
        def broken(self, _value: dict[str, Exception]) -> None:
            pass

    found = graded(lab, Never(), labs.files(labs.notebook(lab, ANSWERS)))
    assert (found.verdict, found.marks, found.tries) == (Verdict.SYSTEM_ERROR, (), worker.TRIES)
    assert found.problem == "no node came up\nLook at its log."


def test_a_test_that_could_not_judge_is_no_zero(tmp_path: Path) -> None:
    text = labs.TEXT.replace(
        'evidence.check(evidence.text("sum.txt")',
        'raise evidence.NoAnswer("Slurm is silent")\nevidence.check(evidence.text("sum.txt")',
    )
    lab = labs.make(tmp_path / "course", text)
    found = graded(lab, Place(tmp_path), labs.files(labs.notebook(lab, ANSWERS)))
    assert (found.verdict, found.marks) == (Verdict.SYSTEM_ERROR, ())
    assert "sum-tests: Slurm is silent" in found.problem


def test_tests_that_end_early_are_no_zero(tmp_path: Path) -> None:
    text = labs.TEXT.replace(
        'evidence.check(evidence.text("sum.txt")',
        'import os\nos._exit(3)\nevidence.check(evidence.text("sum.txt")',
    )
    lab = labs.make(tmp_path / "course", text)
    found = graded(lab, Place(tmp_path), labs.files(labs.notebook(lab, ANSWERS)))
    assert found.verdict is Verdict.SYSTEM_ERROR
    assert "without a word on: sum-tests" in found.problem


def test_what_fills_the_sandbox_by_itself_is_bad_input(lab: Lab, tmp_path: Path) -> None:
    files = {**labs.files(labs.notebook(lab, ANSWERS)), "data.bin": bytes(600 << 10)}
    found = graded(lab, Place(tmp_path), files, disk_mib=1)
    assert found.verdict is Verdict.BAD_INPUT and "the most is" in found.problem
    assert graded(lab, Place(tmp_path / "2"), files, disk_mib=2).verdict is Verdict.PASS


@pytest.mark.parametrize("digits", [5000, 100_000])
def test_numbers_that_python_refuses_to_read_are_the_learners_fault(
    lab: Lab, tmp_path: Path, digits: int
) -> None:
    number = "7" * digits
    text = labs.files(labs.notebook(lab, ANSWERS))[f"{lab.name}.ipynb"].decode()
    points = text.replace('"points": 1', f'"points": {number}').replace('"points": 2', f'"points": {number}')
    assert points != text
    found = graded(lab, Place(tmp_path), {f"{lab.name}.ipynb": points.encode()})
    assert found.verdict is Verdict.PASS, found.problem  # points are the lab's, whatever the notebook says
    source = text.replace('"source": "', f'"source": {number}, "was": "', 1)
    assert source != text
    found = graded(lab, Place(tmp_path / "2"), {f"{lab.name}.ipynb": source.encode()})
    assert found.verdict is Verdict.BAD_INPUT, found.problem


# ---- questions -------------------------------------------------------------------------------


FUNCTION = labs.TEXT.replace(
    'evidence.check(evidence.text("two.txt").strip() == "2", "another number", "two")',
    'import random\nvalue = random.randrange(10**9)\nfound = evidence.function("double")(value)\n'
    'evidence.check(type(found) is int and found == 2 * value, f"{found!r}", "twice the number")',
)


@pytest.mark.parametrize(
    ("source", "earned"),
    [
        ("def double(value):\n    return value * 2", 3),
        ("def double(value):\n    return value", 2),
        ("def double(value):\n    return float(value * 2)", 2),
        ("def double(value):\n    import os\n    os._exit(0)", 2),
        ("double = 3", 2),
    ],
)
def test_a_function_is_asked_in_a_run_of_its_own(tmp_path: Path, source: str, earned: float) -> None:
    lab = labs.make(tmp_path / "course", FUNCTION)
    answers = {**ANSWERS, "two": ANSWERS["two"] + "\n" + source}
    place = Place(tmp_path)
    found = graded(lab, place, labs.files(labs.notebook(lab, answers)))
    assert found.earned == earned
    assert "ask_program" in place.entered[0].steps


REPLAYED = labs.TEXT.replace(
    'evidence.check(evidence.text("two.txt").strip() == "2", "another number", "two")',
    'program = "def replay(text):\\n    import given\\n    return given.twice(int(text))"\n'
    'found = evidence.replay(program, evidence.text("two.txt"), given=["given.py"])\n'
    'evidence.check(found == 4, f"{found!r}", "twice the number")',
).replace(
    "**Your task",
    "```{code-cell} python\n%%writefile given.py\ndef twice(n):\n    return 2 * n\n```\n\n**Your task",
    1,
)


@pytest.mark.parametrize(("two", "earned"), [("2", 3), ("3", 2), ("x", 1)])
def test_a_replay_takes_the_labs_own_files_and_no_cell_of_the_learners(
    tmp_path: Path, two: str, earned: float
) -> None:
    lab = labs.make(tmp_path / "course", REPLAYED)
    own = 'open("given.py", "w").write("twice = lambda n: 4")'  # the learner's version does not count
    answers = {**ANSWERS, "two": f'open("two.txt", "w").write("{two}")\n{own}'}
    files = {
        **labs.files(labs.notebook(lab, answers)),
        "builtins.py": b"",
        "int.py": b"",
        "given/__init__.py": b"",
    }
    found = graded(lab, Place(tmp_path), files)
    [top] = tmp_path.glob("*/asked")
    assert [path.name for path in top.rglob("*.py")] == ["given.py"]  # nothing that was handed in lies there
    assert found.earned == earned, found.marks


# ---- a stranger's output stays small ---------------------------------------------------------


def test_outputs_are_cut_to_size(lab: Lab, tmp_path: Path) -> None:
    made = labs.notebook(lab, ANSWERS)
    made["cells"] += [code(f"print('x' * 200_000, {number})") for number in range(12)]
    made["cells"] += [code(f"print('y' * 100_000, {number})") for number in range(20)]
    found = graded(lab, Place(tmp_path), labs.files(made), output_mib=100)
    assert found.verdict is Verdict.PASS
    assert len(found.executed) < 1_500_000
    assert "kB of output are left out" in found.executed
    assert len(json.loads(found.executed)["cells"]) == len(made["cells"])


# ---- the same marks each time ----------------------------------------------------------------


def test_random_questions_are_the_same_each_time(tmp_path: Path) -> None:
    text = labs.TEXT.replace(
        'evidence.check(evidence.text("sum.txt").strip() == "42", "another number", "42")',
        "import random\nimport numpy\n"
        'evidence.check(False, f"{random.random()} {numpy.random.random()}", "nothing")',
    )
    lab = labs.make(tmp_path / "course", text)
    place, files = Place(tmp_path), labs.files(labs.notebook(lab, ANSWERS))
    first, again = graded(lab, place, files), graded(lab, place, files)
    assert first.marks[2].found
    assert first.marks == again.marks
    other = worker.grade(
        msgspec.structs.replace(task(lab), seed=8),
        lab,
        lambda: files,
        place.enter,
        limits.limits(lab),
        grader="test",
    )
    assert other.marks[2].found != first.marks[2].found


def test_half_a_line_is_not_forged_and_a_foreign_line_is() -> None:
    for line, forged in [
        (b'{"nonce": "n", "cell": "a", "status": "o', False),
        (b'{"nonce": "n", "cell": "a"}', True),  # it never began
        (b'{"nonce": "other", "begin": "a"}', True),
        (b"hello", True),
        (b"[" * 100_000, True),
        (b"\xff", True),
    ]:
        log = RunnerLog(["a"], "n")
        log(line)
        assert bool(log.forged) == forged, line
        assert not log.all_ran
