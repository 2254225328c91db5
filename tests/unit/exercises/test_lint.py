"""lint reports every problem of a lab, and none of a valid one."""

from pathlib import Path

import pytest

from hpclab.exercises import commands, lint, scaffold
from hpclab.exercises.problem import Problem

MANUAL: commands.Manual = {
    ("sbatch",): {"--wait", "--job-name", "--time", "--output", "--wrap", "--parsable"},
    ("sacct",): {"--allocations", "--name", "--format"},
    ("tool",): {"--quiet"},
    ("tool", "start"): {"--nodes"},
    ("tool", "later"): None,
}


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The skeleton of a new exercise with its TODOs done."""
    made = scaffold.create_exercise("01", "A lab", tmp_path / "notebooks")
    for path in made:
        path.write_text(path.read_text().replace("TODO", "done"))
    return made[0]


def changed(lab: Path, *edits: tuple[str, str]) -> list[Problem]:
    text = lab.read_text()
    for old, new_text in edits:
        assert old in text
        text = text.replace(old, new_text, 1)
    lab.write_text(text)
    return lint.find_problems(lab, MANUAL)


def line_of(lab: Path, words: str) -> int:
    return next(number for number, line in enumerate(lab.read_text().splitlines(), 1) if words in line)


def test_a_finished_skeleton_has_no_problem(lab: Path) -> None:
    assert lint.find_problems(lab, MANUAL) == []


def test_new_skeleton_has_only_todo_problems(tmp_path: Path) -> None:
    made = scaffold.create_exercise("03-containers", 'Build "it": a `test`', tmp_path)
    problems = lint.find_problems(made[0], MANUAL)
    assert {problem.what for problem in problems} == {"a TODO remains"}
    assert {problem.path for problem in problems} == set(made)
    assert line_of(made[0], "TODO") in [problem.line for problem in problems if problem.path == made[0]]


@pytest.mark.parametrize(
    ("old", "new_text", "said"),
    [
        ("**You will be able to**", "**You learn to**", "learning goals are missing"),
        (":role: predict", ":role: tests\n:points: 1", "no cell asks for a prediction"),
        ("## 4. Break it: done", "## 4. A fault", "no section 'Break it'"),
        ("## On a real machine", "## Elsewhere", "no section 'On a real machine'"),
        ("## Summary", "## The end", "no section 'Summary'"),
        ("3. *done.*\n", "", "three mistakes"),
        ("Hint 2: the next step\n", "Tip\n", "hints of 'first' are: Hint 1, Hint 3"),
        ("Hint 3: nearly there\n", "Hint 1: nearly there\n", "hints of 'first' are: Hint 1, Hint 2, Hint 1"),
        ("Hint 1: where to look\ndone\n", "Hint 1: where\nsee [it](#here)\n", "points into this page"),
        ("points: 10\n", "points: 9\n", "has 9 points"),
    ],
)
def test_a_missing_part_is_named(lab: Path, old: str, new_text: str, said: str) -> None:
    problems = changed(lab, (old, new_text))
    assert [problem for problem in problems if said in problem.what]
    assert all(problem.remedy for problem in problems)


def test_words_of_the_author_are_free(lab: Path) -> None:
    assert changed(lab, ("most**", "least**")) == []


def test_too_few_tasks_and_wrong_answers(lab: Path) -> None:
    for path in (lab.with_suffix("") / "wrong").glob("[bf]*.md"):
        path.unlink()
    text = lab.read_text().replace(":exercise: loud", ":exercise: second\n:part: loud")
    lab.write_text(text)
    said = [problem.what for problem in lint.find_problems(lab, MANUAL)]
    assert "the lab has 2 graded tasks" in said
    assert "the lab has 2 wrong answers" in said


def test_all_problems_are_reported_together(lab: Path) -> None:
    bad = lab.with_suffix("") / "wrong/by-hand.md"
    bad.write_text(bad.read_text().replace(":answer: second", ":answer: third"))
    problems = changed(
        lab, ("## Summary", "## End"), ("sbatch --wait --job-name=look", "sbatch --wiat --job-name=look")
    )
    assert [problem.what for problem in problems] == [
        "no section 'Summary'",
        "sbatch has no option --wiat",
        "no answer cell 'third'",
    ]
    assert problems[1].line == line_of(lab, "--wiat")
    assert problems[1].remedy.startswith("Did you mean --wait")
    assert problems[2].path == bad


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x](ex02-none.md)", "the link 'ex02-none.md' does not exist"),
        ("[x](../02-none/ex02-none.md)", "does not exist"),
        ("[x](../../templates/none.sbatch)", "does not exist"),
        ("[x](../../README.md)", "a file that learners do not have"),
        ("![x](none.png)", "the picture 'none.png' does not exist"),
        ("<img src='none.png'>", "the picture 'none.png' does not exist"),
        ("[x](http://[y)", "the link 'http://[y' does not exist"),
        (":::{tabs}\n:::", "the directive {tabs} has no plain form"),
    ],
)
def test_invalid_links_are_reported(lab: Path, text: str, said: str) -> None:
    (lab.parents[2] / "README.md").touch()
    (problem,) = changed(lab, ("**Explain.** done: why it is so.", f"**Explain.**\n\n{text}"))
    assert said in problem.what
    assert problem.line == line_of(lab, text.splitlines()[0])


def test_a_path_with_a_blank_is_named_at_the_start_of_its_cell(lab: Path) -> None:
    (problem,) = changed(lab, ("**Explain.** done: why it is so.", "**Explain.**\n\n[x](a%20b.md)"))
    assert problem.what == "the path 'a b.md' has escaped characters"
    assert problem.line == line_of(lab, "**Explain.**")


def test_block_split_by_a_cell_is_reported(lab: Path) -> None:
    cut = ":::{note}\na\n\n+++\n\nb\n:::"
    problems = changed(lab, ("**Explain.** done: why it is so.", f"**Explain.**\n\n{cut}"))
    assert [problem.what for problem in problems] == [":::{note} is never closed", "::: closes nothing"]
    assert problems[0].line == line_of(lab, ":::{note}")


def test_valid_links_pass(lab: Path) -> None:
    (lab.parents[2] / "templates").mkdir()
    for path in (lab.with_name("ex02-b.md"), lab.parents[2] / "templates/a.sbatch", lab.with_name("a.png")):
        path.touch()
    good = "[a](ex02-b.md) [b](../../templates/a.sbatch) ![c](a.png) [d](https://slurm.schedmd.com) `[e](f)`"
    assert changed(lab, ("**Explain.** done: why it is so.", good)) == []


def test_builds_on_must_name_a_lab(lab: Path) -> None:
    lab.with_name("ex02-b.md").touch()
    assert changed(lab, ("minutes:", "builds_on: [ex02-b, 01-slurm-basics/ex02-b]\nminutes:")) == []
    (problem,) = changed(lab, ("[ex02-b,", "[ex09-c,"))
    assert problem.what == "builds_on: 'ex09-c' names no lab"


def test_check_that_assigns_to_a_helper_is_reported(lab: Path) -> None:
    helper = "## 3. A file from a job\n\n```{code-cell} python\ndef look(path):\n    print(path)\n```\n"
    used = 'job = evidence.job("second")\nseen = [look for look in (1, 2)]\n'
    edits = (("## 3. A file from a job\n", helper), ('job = evidence.job("second")\n', used))
    assert changed(lab, *edits) == [], "a name inside a comprehension goes away by itself"
    (problem,) = changed(lab, (used, used + "for look, more in []:\n    pass\n"))
    assert problem.what == "this check assigns to the name of the helper look()"
    assert problem.line == line_of(lab, "for look, more")


HIDDEN_LINE = '"false" in script and "echo finished" in script and "finished" not in evidence.output(job),'


@pytest.mark.parametrize(
    ("old", "new_text"),
    [
        ("**Explain.** done: why it is so.", f"**Explain.** See that `{HIDDEN_LINE}`"),
        ("## Summary", f"```{{code-cell}} python\n{HIDDEN_LINE}\n```\n\n## Summary"),
        ('"FAILED, as its program did", "loud.out")', f'"FAILED", "loud.out")\n(\n    {HIDDEN_LINE}\n)'),
    ],
)
def test_revealed_hidden_test_is_reported(lab: Path, old: str, new_text: str) -> None:
    problems = changed(lab, (old, new_text))
    assert any(
        "the learner's notebook shows what this hidden test checks" in problem.what for problem in problems
    )


def test_answer_in_a_hint_is_reported(lab: Path) -> None:
    answer = '!sbatch --wait --job-name=second --time=1 --output=second.out --wrap="hostname > node.txt"'
    (problem,) = changed(lab, ("Hint 3: nearly there\ndone: the", f"Hint 3: nearly there\n`{answer}`: the"))
    assert problem.what.startswith("the text reveals this answer: !sbatch")


def test_file_that_is_no_lab_is_reported(tmp_path: Path) -> None:
    (problem,) = lint.find_problems(tmp_path / "none.md", MANUAL)
    assert "cannot be read" in problem.what
    (tmp_path / "ex01-a.md").write_text("# no head\n")
    (problem,) = lint.find_problems(tmp_path / "ex01-a.md", MANUAL)
    assert (problem.line, "title" in problem.what) == (1, True)
