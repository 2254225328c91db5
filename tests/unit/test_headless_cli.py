"""`hpclab run` and `hpclab labs prove`, without a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import nbformat
import pytest
from click.testing import CliRunner

from hpclab import headless, layout
from hpclab.app import lab_run, parallel, targets
from hpclab.cli import main, prove, run
from hpclab.cluster import lifecycle
from hpclab.errors import ClusterError, UsageError
from hpclab.headless import Failure, Mark, Result
from hpclab.shell import wait_until
from hpclab.slurm import Runner

EX01 = layout.clone_folder() / "notebooks/01-slurm-basics/ex01-submit-monitor.md"


@pytest.fixture(autouse=True)
def own_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What is made lies elsewhere than this person's."""
    folder = tmp_path / "build"
    for module in (lab_run, prove):
        monkeypatch.setattr(module, "build_folder", lambda: folder)
    return folder


def invoke(*argv: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(argv))
    return done.exit_code, done.output


# ---- what is run, and how --------------------------------------------------------------------


def test_labs_are_named_one_by_one_by_module_or_all_of_them() -> None:
    every = run.choose([], every=True)
    assert EX01 in every
    assert run.choose(["01"], every=False) == [path for path in every if path.parent.name[:2] == "01"]
    assert run.choose(["01-slurm-basics/ex01", str(EX01)], every=False) == [EX01]
    with pytest.raises(UsageError, match="no lab is named"):
        run.choose([], every=False)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["run"], "no lab is named"),
        (["run", "ex99"], "names no lab"),
        (["run", "--all", "--site", "nowhere"], "'nowhere' is not one of"),
        (["run", "--all", "--name", "x", "--jobs", "2"], "labs of one user would disturb each other"),
        (["run", "--all", "--name", "x", "--site", "generic"], "--name is for embedded clusters"),
        (["run", "--all", "--param", "3=4"], "'3=4' is not NAME=VALUE"),
        (["labs", "prove", "ex99"], "names no lab"),
    ],
)
def test_what_cannot_be_is_refused_at_once(argv: list[str], says: str) -> None:
    code, said = invoke(*argv)
    assert code == 2
    assert says in said


def test_the_account_and_the_node_type_reach_the_labs_jobs_the_qos_only_the_notebooks() -> None:
    how = lab_run.how_to_run("perlmutter", account="m1234", qos="debug", gpu=False)
    assert {"SBATCH_ACCOUNT=m1234", "SBATCH_CONSTRAINT=cpu", "SLURM_ACCOUNT=m1234"} <= set(how.settings)
    assert not any("QOS" in setting for setting in how.settings)
    assert how.options == ["--qos=debug"]
    assert lab_run.how_to_run("perlmutter").options == ["--qos=shared"]
    assert "SBATCH_CONSTRAINT=gpu" in lab_run.how_to_run("perlmutter").settings
    assert lab_run.how_to_run("local").options == ["--qos=shared"]  # of the site that it imitates


def test_a_long_lab_gets_a_longer_job_and_a_cell_less_than_its_job() -> None:
    how = lab_run.how_to_run("local")
    short, long = lab_run.Lab("a/b", Path("x"), seconds=60), lab_run.Lab("a/b", Path("x"), seconds=600)
    assert (how.limit(short), how.limit(long), replace(how, minutes=3).limit(long)) == (15, 50, 3)


def test_a_lab_that_ran_well_is_due_when_something_it_was_made_from_changes() -> None:
    how, lab = lab_run.how_to_run("local"), lab_run.reference(EX01)
    one = lab_run.stamp(lab, how)
    assert one == lab_run.stamp(lab, how)
    for other in (replace(how, parameters={"n": 1}), replace(how, options=[])):
        assert lab_run.stamp(lab, other) != one
    assert set(one) == {"notebook", "templates", "parameters", "site", "evidence", "version"}


def test_fresh_runs_what_has_not_changed(own_build: Path) -> None:
    how, lab = lab_run.how_to_run("local"), lab_run.reference(EX01)
    good = Result(job="1", state="COMPLETED", complete=True, stamp=lab_run.stamp(lab, how))
    headless.keep(headless.Run(good, "{}"), lab.folder)
    assert not run.is_due(lab, how, fresh=False)
    assert run.is_due(lab, how, fresh=True)
    assert run.is_due(lab, replace(how, parameters={"n": 1}), fresh=False)


# ---- attempts --------------------------------------------------------------------------------


def test_a_place_that_fails_is_a_result_and_not_the_end_of_all() -> None:
    @contextmanager
    def broken(_progress: targets.Progress) -> Iterator[Runner]:
        raise ClusterError("the nodes did not come", "Look at the log.")
        yield

    done = lab_run.attempt(
        lab_run.reference(EX01), lab_run.how_to_run(), broken, lambda _: None, lambda _: None
    )
    assert (done.result.ok, done.result.problem, done.result.remedy) == (
        False,
        "the nodes did not come",
        "Look at the log.",
    )
    assert done.result.stamp


def test_a_place_at_a_site_has_the_courses_programs_and_the_sites_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with targets.at_site(["SBATCH_ACCOUNT=m1234"])(lambda _: None) as launch:
        said = launch(["sh", "-c", "command -v papermill; echo $SBATCH_ACCOUNT; ps -o pid= -o sid= -p $$"])
        missing = launch(["no-such-program"])
    program, account, numbers = said.stdout.splitlines()
    assert (program, account) == (str(Path(sys.prefix) / "bin/papermill"), "m1234")
    assert len(set(numbers.split())) == 1, "Ctrl-C would reach it"
    assert missing.returncode == 127


# ---- a whole run at a site -------------------------------------------------------------------

SLURM = """#!{python}
# A scheduler with one job, which runs while it is submitted.
import json, pathlib, subprocess, sys
program, words = pathlib.Path(sys.argv[0]), sys.argv[1:]
known = program.with_name("job.json")
if program.name == "sbatch":
    options = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
    script = next(number for number, word in enumerate(words) if word.endswith(".sbatch"))
    with open(options["--output"], "wb") as log:
        code = subprocess.run(["bash", *words[script:]], cwd=options["--chdir"], stdout=log, stderr=log).returncode
    known.write_text(json.dumps([code, pathlib.Path.cwd().name, words]))
    print(12)
elif program.name == "squeue":
    sys.exit("slurm_load_jobs error: Invalid job id specified")
elif program.name == "sacct":
    code = json.loads(known.read_text())[0]
    options = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
    facts = {{"JobID": "12", "JobIDRaw": "12", "State": "FAILED" if code else "COMPLETED", "ExitCode": f"{{code}}:0"}}
    print(options["--delimiter"].join(facts.get(name, "") for name in options["--format"].split(",")))
"""


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder on PATH with Slurm's commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "squeue", "sacct", "scancel"):
        (folder / name).write_text(SLURM.format(python=sys.executable))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    return folder


def lab(folder: Path, *cells: str) -> Path:
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    made = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    made.cells = [nbformat.v4.new_code_cell(text, id=f"c-{number}") for number, text in enumerate(cells, 1)]
    path = folder / "01-x" / "ex01-y.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(made, path)
    return path


def test_a_lab_at_a_site_from_the_first_run_to_a_failed_one(
    slurm: Path, tmp_path: Path, own_build: Path
) -> None:
    path = lab(tmp_path, "n = 1", "open('made', 'w').write(str(n));")
    argv = ["run", str(path), "--site", "generic", "--account", "m1", "--qos", "q", "--sbatch=--mem=1G"]
    kept = own_build / "runs/01-x/ex01-y"

    code, said = invoke(*argv, "--param", "n=3")
    assert code == 0, said
    assert "to run (it has not run yet)" in said
    submitted = json.loads((slurm / "job.json").read_text())[2]
    assert {"--qos=q", "--mem=1G"} <= set(submitted)
    assert (kept / "artifacts/made").is_file()
    assert "01-x/ex01-y" in (own_build / "runs/summary.md").read_text()

    code, said = invoke(*argv, "--param", "n=3")
    assert (code, "nothing has changed since its last run" in said) == (0, True)

    good = (kept / "executed.ipynb").read_bytes()
    lab(tmp_path, "n = 1", "print('so far')\n1/0")
    code, said = invoke(*argv)
    assert code == 1
    for part in (
        "cell 2 (c-2) ended with: ZeroDivisionError",
        "so far",
        f"The failed notebook, as far as it came: {kept / 'failed.ipynb'}",
        f"stays as it was: {kept / 'executed.ipynb'}",
        "1 of 1 labs did not pass: 01-x/ex01-y",
    ):
        assert part in said
    assert (kept / "executed.ipynb").read_bytes() == good


def test_away_from_a_login_node_it_says_so(slurm: Path, tmp_path: Path) -> None:
    (slurm / "sbatch").unlink()
    code, said = invoke("run", str(lab(tmp_path, "1")), "--site", "generic")
    assert code == 1
    assert "there is no sbatch here" in said
    assert "for a login node" in said


# ---- side by side ----------------------------------------------------------------------------


def test_as_many_at_once_as_asked_for() -> None:
    together = threading.Barrier(3, timeout=30)
    got: list[tuple[int, int]] = []

    def work(item: int) -> int:
        together.wait()  # three have to be here at the same time
        return item * 2

    parallel.side_by_side(range(6), work, 3, lambda item, result: got.append((item, result)), parallel.Stop())
    assert sorted(got) == [(item, item * 2) for item in range(6)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_what_waits_and_takes_everything_down(number: int) -> None:
    waiting = threading.Semaphore(0)
    events: list[str] = []
    stop = parallel.Stop()

    def work(item: int) -> None:
        try:
            waiting.release()
            stop.pause(200)
        except parallel.Stopped:
            events.append("cancelled")
            raise

    def send() -> None:
        for _ in range(2):
            waiting.acquire(timeout=30)
        for _ in range(2):  # the second one must not break into the cleaning up
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=send).start()
    with pytest.raises(parallel.Interrupted) as caught, stop:
        parallel.side_by_side(
            range(5), work, 2, lambda *_: events.append("finished"), stop, lambda: events.append("down")
        )
    assert sorted(events) == ["cancelled", "cancelled", "down"]
    assert caught.value.exit_code == 130
    assert signal.getsignal(number) is before


def test_a_signal_outside_of_the_work_is_an_interrupt_once() -> None:
    with parallel.Stop():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # while it cleans up


def test_an_error_in_one_stops_the_others() -> None:
    stop, stopped = parallel.Stop(), threading.Event()

    def work(item: int) -> None:
        if item:
            raise ZeroDivisionError
        try:
            stop.pause(200)
        except parallel.Stopped:
            stopped.set()
            raise

    with pytest.raises(ZeroDivisionError):
        parallel.side_by_side(range(2), work, 2, lambda *_: None, stop)
    assert stopped.is_set()


def test_clusters_whose_run_was_killed_are_removed_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HPCLAB_STATE", str(tmp_path))
    clusters = tmp_path / "clusters"
    ended = subprocess.Popen(["true"])
    ended.wait()
    living = subprocess.Popen(
        ["flock", str(clusters / ".run-7.owner"), "cat"], stdin=subprocess.PIPE, cwd=make(clusters)
    )
    for name in (f"run-{ended.pid}-1", f"run-{ended.pid}-2", "run-7-1", "default"):
        (clusters / name).mkdir()
    removed: list[str] = []
    monkeypatch.setattr(lifecycle, "down", lambda name, *_, **__: removed.append(name))
    try:
        wait_for_lock(clusters / ".run-7.owner")
        targets.remove_left()
    finally:
        living.communicate()
    assert removed == [f"run-{ended.pid}-1", f"run-{ended.pid}-2"]
    targets.remove_left()
    assert removed[4:] == ["run-7-1"]


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def wait_for_lock(path: Path) -> None:
    wait_until(
        lambda: subprocess.run(["flock", "--nonblock", str(path), "true"], check=False).returncode == 1,
        "the lock to be taken",
        seconds=30,
    )


# ---- proofs ----------------------------------------------------------------------------------


def case(expected: dict[str, float], name: str = "round 1") -> prove.Case:
    return prove.Case(lab_run.Lab("01-x/ex01", Path("x")), name, (), expected)


def result(*marks: Mark, **facts: object) -> Result:
    done = Result(job="1", state="FAILED", complete=True, marks=list(marks))
    return msgspec.structs.replace(done, **facts)


PASSED = Mark("one", 2, 2)
NO = Mark("two", 3, 0, "CheckFailed: Found: nothing.")


def test_exact_marks_are_a_proof() -> None:
    verdict = prove.judge(case({"one": 2, "two": 0}), result(PASSED, NO))
    assert (verdict.ok, verdict.got, verdict.expected) == (True, 2, 2)


@pytest.mark.parametrize(
    ("expected", "got", "says"),
    [
        ({"one": 0}, result(PASSED), "one gave 2 instead of 0, it passed"),
        ({"two": 3}, result(NO), "two gave 0 instead of 3: CheckFailed: Found: nothing."),
        ({"one": 2, "two": 0}, result(PASSED), "two did not run"),
        ({"two": 0}, result(Mark("two", 3, 0, "not run", ran=False)), "two did not run"),
        ({"two": 0}, result(Mark("two", 3, 0, "NameError: x")), "two broke, instead of saying no: NameError"),
        ({}, result(PASSED), "one is a test that nobody expects"),
        ({"two": 0}, result(NO, problem="the cluster is down"), "the cluster is down"),
        (
            {"two": 0},
            result(NO, complete=False, failure=Failure("c-1", 7, "the kernel died", "", "")),
            "did not get to the notebook's end: cell 7 (c-1): the kernel died",
        ),
    ],
)
def test_anything_else_is_none(expected: dict[str, float], got: Result, says: str) -> None:
    [fault, *_] = prove.judge(case(expected), got).faults
    assert says in fault


def test_a_failed_cell_spoils_the_reference_only() -> None:
    """A wrong answer may well raise; that is how some of them are wrong."""
    failed = result(PASSED, failure=Failure("c-1", 7, "NameError: x", "", ""))
    assert prove.judge(case({"one": 2}), failed).ok
    assert not prove.judge(case({"one": 2}, "reference"), failed).ok


def test_the_cases_of_a_lab() -> None:
    reference, untouched, *rounds = prove.cases(EX01)
    assert (reference.name, untouched.name) == ("reference", "untouched")
    assert reference.expected.keys() == untouched.expected.keys()
    assert set(untouched.expected.values()) == {0.0}
    assert reference.folder == lab_run.runs_folder() / "01-slurm-basics/ex01-submit-monitor"
    wrong = sorted(path.stem for path in (EX01.with_suffix("") / "wrong").glob("*.md"))
    assert sorted(name for one in rounds for name in one.tries) == wrong
    assert len({one.lab.notebook.read_bytes() for one in (reference, untouched, *rounds)}) == 2 + len(rounds)
    assert len(prove.cases(EX01, most_rounds=0)) == 2


def test_the_reference_run_of_a_proof_is_the_run_of_the_lab() -> None:
    """So that the book needs no second run: both have the same stamp."""
    how = lab_run.how_to_run()
    assert lab_run.stamp(prove.cases(EX01)[0].lab, how) == lab_run.stamp(lab_run.reference(EX01), how)
    assert headless.EXECUTED == "executed.ipynb"


def test_parameters_are_numbers_only_where_they_look_like_it() -> None:
    given = run._parameter(None, None, ["a=3", "b=-4", "c=--5", "d=\u00b2", "e=1.5", "f=x=y"])  # type: ignore[arg-type]
    assert given == {"a": 3, "b": -4, "c": "--5", "d": "\u00b2", "e": "1.5", "f": "x=y"}
