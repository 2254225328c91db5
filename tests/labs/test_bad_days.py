"""Headless runs on bad days. Everything here really happens, most of it side by side on one cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from hpclab import headless, layout, shell
from hpclab.app import parallel, targets
from hpclab.cluster import lifecycle
from hpclab.cluster import process as process_module
from hpclab.errors import ClusterError, CommandFailed, HpclabError
from hpclab.slurm import Runner

Begin = Callable[[], tuple[subprocess.Popen[bytes], str]]
HPCLAB = [sys.executable, "-c", "from hpclab.cli import main; main()"]
pytestmark = pytest.mark.timeout(600)

GRADED = {"nbgrader": {"grade": True, "grade_id": "t", "points": 2.0}, "tags": ["raises-exception"]}
BAD = {
    "hangs": ["import time", "print('so far')\ntime.sleep(3000)", "1"],
    "hangs-too-long": ["import time", "time.sleep(3000)", "1"],
    "never-starts": ["1"],
    "kernel-dies": ["import os", "os.kill(os.getpid(), 9)", "1"],
    "takes-memory": ["parts = []", "while True:\n    parts.append(b'x' * (1 << 24))", "1"],
    "cancels-itself": ["import time", "!scancel --me --name=cancels-itself\ntime.sleep(300)", "1"],
    "no-papermill-here": ["1"],
    "no-papermill-there": ["1"],
    "raises": ["1", "!echo why\n1/0", "1"],
    "refused": ["1"],
    "leaves-files": [
        "open('small.txt', 'w').write('small')\nopen('large.bin', 'wb').write(b'x' * (6 << 20));",
        "import os\nos.symlink('/etc/passwd', 'link')\nos.mkdir('sub')\nopen('sub/odd name.txt', 'w').write('odd');",
        "from pathlib import Path\nassert Path('../../templates/notebook.sbatch').is_file()",
    ],
}
OPTIONS: dict[str, list[str]] = {
    "never-starts": ["--hold"],
    "takes-memory": ["--mem=300"],
    "no-papermill-there": ["--export=NONE", "--export=PATH=/usr/bin:/bin"],
    "refused": ["--qos=nonesuch"],
}


def notebook(folder: Path, name: str, cells: Sequence[str], graded: bool = True) -> Path:
    """A notebook with these cells; the last one is a test worth two points."""
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python"}})
    for number, text in enumerate(cells, 1):
        last = graded and number == len(cells)
        made.cells.append(
            nbformat.v4.new_code_cell(text, id=f"cell-{number}", metadata=GRADED if last else {})
        )
    path = folder / f"{name}.ipynb"
    nbformat.write(made, path)
    return path


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the notebooks lie: below the clone, which the cluster sees."""
    made = layout.clone_folder() / "build" / f"bad-days-{os.getpid()}"
    made.mkdir(parents=True)
    yield made
    shell.run(["rm", "-rf", str(made), str(layout.clone_folder() / "build" / "given" / made.name)])


@pytest.fixture(scope="module")
def bad_day(
    private: targets.PrivateClusters, folder: Path
) -> Iterator[Callable[[str], headless.FinishedRun]]:
    """A function that waits for the end of one bad day; all began together."""
    notebooks = {name: notebook(folder, name, cells) for name, cells in BAD.items()}
    cancellation = parallel.Cancellation()
    with private.start(lambda _: None) as launch, ThreadPoolExecutor(len(BAD)) as pool:

        def begin(name: str) -> Future[headless.FinishedRun]:
            job = headless.NotebookJob(
                notebook=notebooks[name],
                folder=f"{scratch(launch)}/{name}",
                options=["--qos=shared", *OPTIONS.get(name, [])],
                minutes=1 if name == "hangs-too-long" else 5,
                cell_s=5 if name == "hangs" else 280,
                queue_s=2 if name == "never-starts" else 300,
            )
            runner = without_papermill(launch) if name == "no-papermill-here" else launch
            return pool.submit(
                headless.run_notebook, job, launch=runner, pause=cancellation.pause, slowest_poll_s=1
            )

        going = {name: begin(name) for name in BAD}
        try:
            yield lambda name: going[name].result(300)
        finally:
            cancellation.cancel()


def scratch(launch: Runner) -> str:
    return launch(["sh", "-c", "echo $SCRATCH"]).stdout.strip()


def without_papermill(launch: Runner) -> Runner:
    return lambda argv: launch(["env", "PATH=/usr/bin:/bin", *argv])


def said(run: headless.FinishedRun) -> str:
    """All that a person would be told."""
    with pytest.raises(HpclabError) as caught:
        headless.require_ok(run.result, "")
    return str(caught.value)


def test_a_cell_that_hangs_is_named(bad_day: Callable[[str], headless.FinishedRun]) -> None:
    told = said(bad_day("hangs"))
    assert "cell 2 (cell-2) ended with: no end after 5 s, the deadline of a cell" in told
    assert "so far" in told
    assert "t: 0 of 2 points\n    not run" in told


def test_the_time_limit_names_the_cell(bad_day: Callable[[str], headless.FinishedRun]) -> None:
    done = bad_day("hangs-too-long")
    assert done.result.state == "TIMEOUT"
    assert "cell 2 (cell-2) ended with: the job reached its time limit" in said(done)


def test_a_job_that_never_starts_is_cancelled_with_its_reason(
    bad_day: Callable[[str], headless.FinishedRun],
) -> None:
    done = bad_day("never-starts")
    assert "did not start within 2 s and was cancelled; it waited for: JobHeldUser" in said(done)
    assert done.result.state == "CANCELLED"
    assert (done.result.earned, done.result.points) == (0, 2)


def test_a_kernel_that_dies_gives_no_marks(bad_day: Callable[[str], headless.FinishedRun]) -> None:
    """papermill itself calls the cells behind it completed."""
    done = bad_day("kernel-dies")
    assert "cell 2 (cell-2) ended with: the kernel died" in said(done)
    assert (done.result.earned, done.result.points, done.result.complete) == (0, 2, False)


def test_memory_names_the_cell(bad_day: Callable[[str], headless.FinishedRun]) -> None:
    done = bad_day("takes-memory")
    assert done.result.state == "OUT_OF_MEMORY"
    assert "cell 2 (cell-2) ended with: the job ran out of memory" in said(done)


def test_a_cancelled_run_names_the_cell(bad_day: Callable[[str], headless.FinishedRun]) -> None:
    done = bad_day("cancels-itself")
    assert done.result.state == "CANCELLED"
    assert "cell 2 (cell-2) ended with: the job was cancelled" in said(done)


def test_papermill_is_missing_where_jobs_are_submitted(
    bad_day: Callable[[str], headless.FinishedRun],
) -> None:
    with pytest.raises(CommandFailed, match="papermill, which runs notebooks, is not on PATH"):
        bad_day("no-papermill-here")


def test_papermill_is_missing_on_the_node(bad_day: Callable[[str], headless.FinishedRun]) -> None:
    assert "papermill, which runs notebooks, is not on PATH on nid" in said(bad_day("no-papermill-there"))


def test_a_cell_that_raises(bad_day: Callable[[str], headless.FinishedRun]) -> None:
    told = said(bad_day("raises"))
    assert "cell 2 (cell-2) ended with: ZeroDivisionError" in told
    assert "cell 2 (cell-2) printed:\n    why" in told


def test_the_sites_refusal_is_told(bad_day: Callable[[str], headless.FinishedRun]) -> None:
    with pytest.raises(CommandFailed, match="Invalid qos specification"):
        bad_day("refused")


def test_files_are_kept_within_limits(bad_day: Callable[[str], headless.FinishedRun], tmp_path: Path) -> None:
    done = bad_day("leaves-files")
    assert done.result.ok, said(done)
    kept = headless.keep(done, tmp_path)
    assert sorted(kept.artifacts) == ["small.txt", "sub/odd name.txt"]
    assert (tmp_path / "artifacts/sub/odd name.txt").read_text() == "odd"
    assert [(file.path, file.size) for file in kept.skipped] == [("large.bin", 6 << 20)]


def test_a_cluster_that_goes_down_is_named(private: targets.PrivateClusters, folder: Path) -> None:
    waits = notebook(folder, "goes-down", ["import time\ntime.sleep(3000)", "1"])
    before, runs = set(lifecycle.names()), threading.Event()

    def note(text: str) -> None:
        if "runs on" in text:
            runs.set()

    with private.start(lambda _: None) as launch, ThreadPoolExecutor(1) as pool:
        job = headless.NotebookJob(
            notebook=waits, folder=f"{scratch(launch)}/goes-down", options=["--qos=shared"]
        )
        going = pool.submit(headless.run_notebook, job, launch=launch, progress=note, slowest_poll_s=0.5)
        assert runs.wait(120)
        [name] = set(lifecycle.names()) - before
        lifecycle.down(name, lambda _: None, force=True)
        with pytest.raises(ClusterError, match="is not running"):
            going.result(120)


@pytest.fixture
def hpclab_run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begin]:
    """A function that begins `hpclab run` of a notebook that does not end, and waits until it runs."""
    waits = notebook(folder, "waits", ["import time\ntime.sleep(3000)", "1"])
    log = tmp_path_factory.mktemp("run") / "log"
    begun: list[subprocess.Popen[bytes]] = []

    def begin() -> tuple[subprocess.Popen[bytes], str]:
        before = set(lifecycle.names())
        with log.open("wb") as out:
            begun.append(subprocess.Popen([*HPCLAB, "run", str(waits)], stdout=out, stderr=out, cwd="/"))
        shell.wait_until(
            lambda: [name for name in set(lifecycle.names()) - before if jobs(name)],
            "the notebook's job",
            seconds=120,
            every=0.3,
            log=log,
        )
        [name] = set(lifecycle.names()) - before
        return begun[-1], name

    yield begin
    for process in begun:
        process.kill()
        process.wait()
    targets.remove_abandoned()


def jobs(name: str) -> int:
    try:
        return lifecycle.jobs_in_queue(name)
    except HpclabError:
        return 0  # not up yet


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_the_clusters_down(hpclab_run: Begin, number: int) -> None:
    process, name = hpclab_run()
    supervisor = lifecycle.supervisor_of(name)
    process.send_signal(number)
    process.send_signal(number)  # an impatient one does not leave half of it
    assert process.wait(120) == 130
    process_module.gone(supervisor, 20)
    assert [path.name for path in left() if name.rsplit("-", 1)[0] in path.name] == []


def test_a_killed_run_is_cleaned_up_by_the_next(hpclab_run: Begin) -> None:
    process, name = hpclab_run()
    living, other = hpclab_run()
    process.kill()
    process.wait()
    targets.remove_abandoned()
    assert lifecycle.running(name) is None
    assert [path.name for path in left() if name.rsplit("-", 1)[0] in path.name] == []
    assert lifecycle.running(other), "the run that lives was disturbed"
    assert living.poll() is None


def left() -> list[Path]:
    """Everything in the folder of clusters, hidden files too."""
    return list((layout.state_home() / "clusters").iterdir())
