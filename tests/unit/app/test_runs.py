"""`hpclab run` and `hpclab labs prove`, without a cluster."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from hpclab import headless
from hpclab.app import lab_run
from hpclab.app import runs as app_runs
from hpclab.cli import main, run
from hpclab.headless import RunResult

pytestmark = pytest.mark.usefixtures("own_build")


def invoke(*argv: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(argv))
    return done.exit_code, done.output


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
def test_impossible_options_are_refused_at_once(argv: list[str], says: str) -> None:
    code, output = invoke(*argv)
    assert code == 2
    assert says in output


def test_parameters_are_numbers_only_where_they_look_like_it() -> None:
    texts = ["a=3", "b=-4", "c=--5", "d=\u00b2", "e=1.5", "f=x=y"]
    values = run.parse_parameters(None, None, texts)  # type: ignore[arg-type]
    assert values == {"a": 3, "b": -4, "c": "--5", "d": "\u00b2", "e": "1.5", "f": "x=y"}


def test_a_lab_is_due_when_something_has_changed_or_with_fresh(ex01: Path) -> None:
    settings, lab = lab_run.load_run_settings("local"), lab_run.write_reference(ex01)
    good = RunResult(job="1", state="COMPLETED", complete=True, stamp=lab_run.stamp_lab(lab, settings))
    headless.keep(headless.FinishedRun(good, "{}"), lab.folder)
    assert app_runs.reasons_to_run(lab, settings, fresh=False) == []
    assert app_runs.reasons_to_run(lab, settings, fresh=True) == ["--fresh"]
    changed = replace(settings, parameters={"n": 1})
    assert app_runs.reasons_to_run(lab, changed, fresh=False) == ["changed since: parameters"]


def test_labs_that_share_a_cluster_run_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_runs, "default_parallelism", lambda: 4)
    local, site = lab_run.load_run_settings("local"), lab_run.load_run_settings("generic")
    assert app_runs.choose_parallelism(local, "", 8) == 4
    assert app_runs.choose_parallelism(local, "", 3) == 3
    assert app_runs.choose_parallelism(local, "mine", 8) == 1
    assert app_runs.choose_parallelism(site, "", 8) == 1


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


def write_notebook(folder: Path, *cells: str) -> Path:
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
    path = write_notebook(tmp_path, "n = 1", "open('made', 'w').write(str(n));")
    argv = ["run", str(path), "--site", "generic", "--account", "m1", "--qos", "q", "--sbatch=--mem=1G"]
    runs = own_build / "runs/01-x/ex01-y"

    code, output = invoke(*argv, "--param", "n=3")
    assert code == 0, output
    assert "to run (it has not run yet)" in output
    submitted = json.loads((slurm / "job.json").read_text())[2]
    assert {"--qos=q", "--mem=1G"} <= set(submitted)
    assert (runs / "artifacts/made").is_file()
    assert "01-x/ex01-y" in (own_build / "runs/summary.md").read_text()

    code, output = invoke(*argv, "--param", "n=3")
    assert (code, "nothing has changed since its last run" in output) == (0, True)

    good = (runs / "executed.ipynb").read_bytes()
    write_notebook(tmp_path, "n = 1", "print('so far')\n1/0")
    code, output = invoke(*argv)
    assert code == 1
    for part in (
        "cell 2 (c-2) ended with: ZeroDivisionError",
        "so far",
        f"The failed notebook, as far as it was executed: {runs / 'failed.ipynb'}",
        f"is still there: {runs / 'executed.ipynb'}",
        "1 of 1 labs did not pass: 01-x/ex01-y",
    ):
        assert part in output
    assert (runs / "executed.ipynb").read_bytes() == good


def test_away_from_a_login_node_the_error_says_so(slurm: Path, tmp_path: Path) -> None:
    (slurm / "sbatch").unlink()
    code, output = invoke("run", str(write_notebook(tmp_path, "1")), "--site", "generic")
    assert code == 1
    assert "there is no sbatch here" in output
    assert "for a login node" in output
