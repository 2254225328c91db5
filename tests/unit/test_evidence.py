"""Evidence from a scripted Slurm; tests/cluster uses a real one."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hpclab import evidence, slurm
from hpclab.evidence import CheckFailed, Fallback, NoAnswer, slurm_queries

Row = dict[str, str]
SCRIPT = "#!/bin/bash\n#SBATCH -o a-%j.out --time=3\n#SBATCH --dependency=afterok:7\nsrun hostname\n"


@dataclass
class Slurm:
    """Answers as Slurm would. ``known`` and ``queued`` are rows; a list of lists changes at each question."""

    folder: Path
    known: list[list[Row]] = field(default_factory=lambda: [[]])
    queued: list[list[Row]] = field(default_factory=lambda: [[]])
    steps: list[list[Row]] = field(default_factory=lambda: [[]])
    script: str = SCRIPT
    held: str = ""
    broken: dict[str, str] = field(default_factory=dict)  # a command and what it says on stderr
    asked: list[str] = field(default_factory=list)

    def job(self, **values: str) -> Row:
        default = {
            "id": "12",
            "raw_id": values.get("id", "12"),
            "name": "a",
            "state": "COMPLETED",
            "exit": "0:0",
            "folder": str(self.folder),
            "nodes": "n1",
            "submit": "100",
            "start": "103",
            "end": "110",
            "elapsed": "7",
            "time_limit": "5",
            "limit": "5:00",
            "total_cpu": "00:03.500",
            "requested": "cpu=2,mem=100M,node=1",
            "allocated": "cpu=2,mem=100M,node=1",
            "submit_line": "sbatch a.sbatch",
        }
        return default | values

    def step(self, id: str, **values: str) -> Row:
        default = {
            "id": id,
            "name": "x",
            "state": "COMPLETED",
            "exit": "0:0",
            "submit": "103",
            "start": "103",
        }
        return default | {"end": "110", "elapsed": "7", "max_rss": "1024K", "total_usage": "mem=2M"} | values

    def __call__(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        program = next(word for word in argv if word in ("sacct", "squeue", "scontrol"))
        kind = "script" if "--batch-script" in argv else program
        self.asked.append(kind)
        if kind in self.broken:
            return subprocess.CompletedProcess(argv, 1, "", self.broken[kind])
        if kind == "script":
            header = "Batch Script for 12\n" + "-" * 80 + "\n"
            return subprocess.CompletedProcess(argv, 0, header + (self.script or "NONE") + "\n", "")
        if kind == "scontrol":
            return subprocess.CompletedProcess(argv, 0 if self.held else 1, self.held, "a remark")
        text = "\n".join(argv)
        separator = "\x1f" + text.split("\x1f")[1] + "\x1f"
        fields = slurm.SQUEUE_FIELDS if program == "squeue" else slurm.SACCT_FIELDS
        answers = self.queued if program == "squeue" else self.known
        if slurm.STEP_FIELDS["total_usage"] in text:
            fields, answers = slurm.STEP_FIELDS, self.steps
        rows = answers.pop(0) if len(answers) > 1 else answers[0]
        if names := [word.removeprefix("--name=") for word in argv if word.startswith("--name=")]:
            wanted = names[0].split(",")  # as sacct does
            rows = [row for row in rows if row["name"] in wanted and row["name"].isalnum()]
        lines = [separator.join(row.get(name, "") for name in fields) + "\n" for row in rows]
        return subprocess.CompletedProcess(argv, 0, "".join(lines), f"{program}: a remark")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    monkeypatch.chdir(tmp_path)
    clock = [0.0]  # so that waits take no time
    monkeypatch.setattr(slurm.queries.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(slurm.queries.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    made = Slurm(tmp_path)
    monkeypatch.setattr(slurm_queries, "run", made)
    yield made


def test_the_newest_job_counts(cluster: Slurm) -> None:
    cluster.known = [[cluster.job(state="FAILED"), cluster.job(id="13", submit="200")]]
    assert evidence.job("a").id == "13"
    assert [job.id for job in evidence.jobs_ended("a", at_least=2)] == ["12", "13"]


def test_a_job_of_another_folder_or_name_does_not_count(cluster: Slurm) -> None:
    cluster.known = [[cluster.job(folder="/elsewhere"), cluster.job(id="13", name="A")]]
    with pytest.raises(CheckFailed, match="no job named 'a' that was submitted"):
        evidence.job("a")


def test_a_job_of_a_folder_below_counts(cluster: Slurm) -> None:
    cluster.known = [[cluster.job(folder=str(cluster.folder / "runs"))]]
    assert evidence.job("a").id == "12"


def test_the_jobs_of_a_replay_do_not_count(cluster: Slurm) -> None:
    cluster.known = [[cluster.job(folder=str(cluster.folder / ".replay-x1"))]]
    assert evidence.jobs("a") == []


def test_missing_job_fails_without_waiting(cluster: Slurm) -> None:
    with pytest.raises(CheckFailed, match="no job named 'a'"):
        evidence.job("a")
    assert len(cluster.asked) == 2


def test_too_few_jobs(cluster: Slurm) -> None:
    cluster.known = [[cluster.job()]]
    with pytest.raises(CheckFailed, match=r"Found: one job named 'a' .*\nExpected: 2 jobs"):
        evidence.jobs_ended("a", at_least=2)


def test_job_that_does_not_end_fails_with_its_reason(cluster: Slurm) -> None:
    cluster.known = [[cluster.job(state="PENDING", reason="JobHeldUser", start="Unknown", end="Unknown")]]
    with pytest.raises(CheckFailed, match=r"job 12 \(a\) is still PENDING, JobHeldUser"):
        evidence.job("a")
    assert len(cluster.asked) == 2  # no wait would help


def test_name_with_a_comma_is_not_passed_to_sacct(cluster: Slurm) -> None:
    cluster.known = [[cluster.job(name="a,b"), cluster.job(id="13", name="a")]]
    assert evidence.job("a,b").id == "12"


def test_a_name_with_quotation_marks(cluster: Slurm) -> None:
    """Accounting makes backquotes of them, the controller does not."""
    line = 'sbatch -J the "best" one -n 3 a.sbatch'
    cluster.known = [[cluster.job(name="the `best` one", submit_line=line)]]
    cluster.queued = [[cluster.job(name='the "best" one')]]
    job = evidence.job('the "best" one')
    assert evidence.options(job) | {"ntasks": "3", "job-name": 'the "best" one'} == evidence.options(job)


def test_waits_until_accounting_knows_the_job(cluster: Slurm) -> None:
    cluster.known = [[], [], [cluster.job(exit="3:0", state="FAILED")]]
    cluster.queued = [[cluster.job(state="FAILED")]]
    job = evidence.job("a")
    assert (job.exit_code, dict(job.allocated)) == (3, {"cpu": 2, "mem": 100 * 2**20, "node": 1})


def test_waits_until_the_record_is_complete(cluster: Slurm) -> None:
    """Shortly after its end a job has no name, no folder and no time limit."""
    half = cluster.job(name="allocation", folder="", time_limit="", requested="", allocated="", nodes="")
    cluster.known = [[half], [cluster.job(end="Unknown")], [cluster.job()]]
    cluster.queued = [[cluster.job()]]
    job = evidence.job("a")
    assert (job.time_limit, job.start, job.complete) == (300, 103, True)


@pytest.fixture
def all_over(cluster: Slurm, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    monkeypatch.setattr(slurm_queries, "_cache", {})
    return cluster


def test_cache_queries_slurm_once_for_all_checks(all_over: Slurm) -> None:
    all_over.known = [[all_over.job(), all_over.job(id="13", name="b")]]
    assert evidence.job("a").id == "12"
    assert evidence.job("b").id == "13"
    found = evidence.jobs()
    assert [job.id for job in found] == ["12", "13"]
    found.clear()  # a check may do with its list what it likes
    assert len(evidence.jobs()) == 2
    assert evidence.script(evidence.job("a")) == evidence.script(evidence.job("a"))
    assert all_over.asked == ["squeue", "sacct", "script"]


def test_cache_does_not_keep_incomplete_records(all_over: Slurm) -> None:
    all_over.known = [[], [all_over.job(name="", end="")], [all_over.job()]]
    all_over.queued = [[all_over.job()]]
    assert evidence.job("a").name == "a"
    assert all_over.asked.count("sacct") == 3
    assert evidence.job("a").ended
    assert all_over.asked.count("sacct") == 3


def test_cache_does_not_keep_failed_queries(all_over: Slurm) -> None:
    all_over.broken["sacct"] = "Connection refused"
    with pytest.raises(NoAnswer):
        evidence.job("a")
    del all_over.broken["sacct"]
    all_over.known = [[all_over.job()]]
    assert evidence.job("a").id == "12"


def test_with_cache_no_job_is_waited_for(all_over: Slurm) -> None:
    all_over.queued = [[all_over.job(state="PENDING", reason="Dependency", start="", end="")]]
    with pytest.raises(CheckFailed, match="still PENDING, Dependency"):
        evidence.job("a")
    assert len(all_over.asked) == 2


def test_older_job_of_the_same_name_does_not_count(cluster: Slurm) -> None:
    old, new = cluster.job(), cluster.job(id="13", submit="200", state="FAILED")
    cluster.known = [[old], [old, new]]
    cluster.queued = [[new]]
    assert evidence.job("a").id == "13"


def test_requeued_job_has_not_ended_with_its_first_attempt(cluster: Slurm) -> None:
    first = cluster.job(state="NODE_FAIL")
    waiting = cluster.job(state="PENDING", start="Unknown", end="N/A", nodes="", submit="110")
    second = cluster.job(start="120", end="125", elapsed="5", submit="110")
    cluster.known = [[first], [first, second]]
    cluster.queued = [[waiting], [second]]
    job = evidence.job("a")
    assert (job.state, job.start, job.restarts) == ("COMPLETED", 120, 1)


def test_completing_job_counts_as_ended(cluster: Slurm) -> None:
    cluster.known, cluster.queued = [[cluster.job()]], [[cluster.job(state="COMPLETING")]]
    assert evidence.job("a").state == "COMPLETED"


def test_incomplete_record_is_returned_after_the_deadline(cluster: Slurm) -> None:
    cluster.queued = [[cluster.job()]]
    job = evidence.job("a")
    assert (job.state, job.exit_code, job.elapsed) == ("COMPLETED", None, 7)


def test_a_site_without_accounting(cluster: Slurm) -> None:
    cluster.broken["sacct"] = "sacct: error: Slurm accounting storage is disabled"
    cluster.queued = [[cluster.job()]]
    with pytest.warns(Fallback, match="not available on this site; only the jobs that the controller"):
        job = evidence.job("a")
    assert job.state == "COMPLETED"
    with pytest.warns(Fallback, match="steps of a job are not known"):
        assert evidence.steps(job) == []
    with pytest.warns(Fallback, match="earlier attempts"):
        assert evidence.attempts(job) == [job]


@pytest.mark.parametrize("program", ["sacct", "squeue"])
def test_silent_slurm_raises_no_answer(cluster: Slurm, program: str) -> None:
    cluster.broken[program] = "error: Unable to contact slurm controller"
    with pytest.raises(NoAnswer, match=r"nothing was checked: .*\n.*Unable to contact") as caught:
        evidence.job("a")
    assert not isinstance(caught.value, AssertionError)
    assert caught.value._render_traceback_() == [str(caught.value)]
    assert 1 < cluster.asked.count(program) < 15  # it was asked again, not too often


def test_slurm_that_recovers_is_queried_again(cluster: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.known = [[cluster.job()]]
    troubles = iter(["Connection refused", "Connection refused"])

    def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        if trouble := next(troubles, ""):
            return subprocess.CompletedProcess(argv, 1, "", trouble)
        return cluster(argv)

    monkeypatch.setattr(slurm_queries, "run", run)
    assert evidence.job("a").id == "12"


def test_the_tasks_of_the_newest_array(cluster: Slurm) -> None:
    old = [cluster.job(id=f"10_{index}", submit="50") for index in (1, 2)]
    new = [cluster.job(id=f"20_{index}", raw_id=str(40 + index)) for index in (10, 9)]
    rest = cluster.job(id="20_[1-3,9%2]", raw_id="20", state="CANCELLED by 5", nodes="None assigned")
    cluster.known = [[*old, *new, rest, cluster.job(id="30", submit="200")]]
    tasks = evidence.tasks("a")
    assert [(task.id, task.array_index, task.state) for task in tasks] == [
        ("20_1", 1, "CANCELLED"),
        ("20_2", 2, "CANCELLED"),
        ("20_3", 3, "CANCELLED"),
        ("20_9", 9, "COMPLETED"),
        ("20_10", 10, "COMPLETED"),
    ]


def test_task_listed_in_the_cancelled_rest_appears_once(cluster: Slurm) -> None:
    ran = cluster.job(id="20_1", raw_id="21")
    cluster.known = [[ran, cluster.job(id="20_[1-2]", raw_id="20", state="CANCELLED", nodes="None assigned")]]
    assert [(task.id, task.state) for task in evidence.tasks("a")] == [
        ("20_1", "COMPLETED"),
        ("20_2", "CANCELLED"),
    ]


def test_array_cancelled_before_accounting_knew_it(cluster: Slurm) -> None:
    cluster.known = [
        [cluster.job(id="20", state="CANCELLED", nodes="", submit_line="sbatch -a 2-3 a.sbatch")]
    ]
    assert [(task.id, task.state) for task in evidence.tasks("a")] == [
        ("20_2", "CANCELLED"),
        ("20_3", "CANCELLED"),
    ]


def test_running_array_fails(cluster: Slurm) -> None:
    cluster.known = [
        [
            cluster.job(id="20_1", raw_id="21"),
            cluster.job(id="20_2", raw_id="20", state="RUNNING", end="Unknown"),
        ]
    ]
    with pytest.raises(CheckFailed, match=r"job 20_2 \(a\) is still RUNNING"):
        evidence.tasks("a")


def test_single_job_is_not_an_array(cluster: Slurm) -> None:
    cluster.known = [[cluster.job()]]
    with pytest.raises(CheckFailed, match=r"no job named 'a'.*\nExpected: a job array of that name"):
        evidence.tasks("a")


def test_attempts_wait_for_the_newest(cluster: Slurm) -> None:
    first = cluster.job(state="REQUEUED")
    second = cluster.job(start="120", end="125", submit="110")
    cluster.known = [[first, second]]
    job = evidence.job("a")
    cluster.known = [[first], [second, first]]
    assert [(one.state, one.restarts) for one in evidence.attempts(job)] == [
        ("REQUEUED", 0),
        ("COMPLETED", 1),
    ]


def test_attempts_of_a_job_unknown_to_accounting_fail(cluster: Slurm) -> None:
    cluster.known = [[cluster.job()]]
    job = evidence.job("a")
    cluster.known = [[]]
    with pytest.raises(CheckFailed, match="no record of job 12 in accounting"):
        evidence.attempts(job)


def test_steps_are_waited_for(cluster: Slurm) -> None:
    now = str(int(time.time()))
    cluster.known = [[cluster.job(end=now)]]
    job = evidence.job("a")
    whole = [
        cluster.job(),
        cluster.step("12.batch"),
        cluster.step("12.0"),
        cluster.step("12.extern", max_rss=""),
    ]
    cluster.steps = [
        whole[:1],
        [*whole[:2], cluster.step("12.0", state="RUNNING", end="Unknown")],
        [*whole[:2], cluster.step("12.0", max_rss="")],
        whole,
    ]
    steps = evidence.steps(job)
    assert [(step.id, step.max_rss) for step in steps] == [
        ("12.batch", 2**20),
        ("12.0", 2**20),
        ("12.extern", None),
    ]
    assert cluster.asked.count("sacct") == 5  # and no oftener, although .extern has no memory


def test_steps_of_old_jobs_are_not_waited_for(cluster: Slurm) -> None:
    cluster.known = [[cluster.job()]]
    job = evidence.job("a")
    cluster.steps = [[cluster.job(), cluster.step("12.batch", max_rss="")]]
    assert [step.max_rss for step in evidence.steps(job)] == [None]
    assert cluster.asked.count("sacct") == 2


def test_a_job_that_never_started_has_no_steps(cluster: Slurm) -> None:
    cluster.known = [[cluster.job(state="CANCELLED", nodes="None assigned")]]
    assert evidence.steps(evidence.job("a")) == []


def test_usage_of_a_job(cluster: Slurm) -> None:
    cluster.known = [[cluster.job()]]
    cluster.steps = [[cluster.job(), cluster.step("12.batch"), cluster.step("12.0", total_usage="mem=50M")]]
    use = evidence.usage(evidence.job("a"))
    assert (use.label, use.cpus, use.cpus_used, use.time_limit, use.elapsed) == ("a (12)", 2, 0.5, 300, 7)
    assert (use.memory, use.memory_used) == (100 * 2**20, 50 * 2**20)


def test_script_directives_and_options(cluster: Slurm) -> None:
    line = "sbatch --time=9 -d afterany:8:9 --comment=two words --qos=debug a.sbatch --time=1"
    cluster.known = [[cluster.job(submit_line=line, comment="two words")]]
    job = evidence.job("a")
    assert evidence.script(job) == SCRIPT
    assert evidence.directives(job) == {"output": "a-%j.out", "time": "3", "dependency": "afterok:7"}
    assert evidence.options(job) == {
        "output": "a-%j.out",
        "time": "9",
        "dependency": "afterany:8:9",
        "comment": "two words",
        "qos": "debug",
    }
    assert [(one.kind, one.ids) for one in evidence.dependencies(job)] == [("afterany", ("8", "9"))]


def test_dependencies_of_the_script(cluster: Slurm) -> None:
    cluster.known = [[cluster.job()]]
    assert [(one.kind, one.ids) for one in evidence.dependencies(evidence.job("a"))] == [("afterok", ("7",))]


def test_edges_of_a_graph(cluster: Slurm) -> None:
    cluster.script = "#!/bin/bash\ntrue\n"
    cluster.known = [
        [
            cluster.job(id="1"),
            cluster.job(id="2", submit_line="sbatch -d afterok:1?after:1+5 a.sbatch"),
            cluster.job(id="3_0", raw_id="4", submit_line="sbatch -d singleton --array=0-1 a.sbatch"),
            cluster.job(id="3_1", raw_id="3", submit_line="sbatch -d singleton --array=0-1 a.sbatch"),
        ]
    ]
    assert evidence.edges(evidence.jobs("a")) == [
        ("1", "2", "afterok"),
        ("1", "2", "after"),
        ("1", "3_0", "singleton"),
        ("2", "3_0", "singleton"),
        ("1", "3_1", "singleton"),
        ("2", "3_1", "singleton"),
    ]


def test_edges_among_the_parts_of_a_heterogeneous_job(cluster: Slurm) -> None:
    line = "sbatch -d singleton a.sbatch"
    cluster.known = [
        [cluster.job(id="9"), *(cluster.job(id=id, submit_line=line) for id in ("10+0", "10+1"))]
    ]
    assert ("9", "10+0", "singleton") in evidence.edges(evidence.jobs("a"))


def test_script_comes_from_the_controller(cluster: Slurm) -> None:
    cluster.known, cluster.script, cluster.held = [[cluster.job()]], "", SCRIPT
    assert evidence.script(evidence.job("a")) == SCRIPT


def test_script_from_the_folder_comes_with_a_warning(cluster: Slurm) -> None:
    cluster.known, cluster.script = [[cluster.job()]], ""
    (cluster.folder / "a.sbatch").write_text("#!/bin/bash\n#SBATCH --time=7\n")
    job = evidence.job("a")
    with pytest.warns(
        Fallback, match=r"not stored the script of job 12; .*a\.sbatch is read instead, and may have changed"
    ):
        assert evidence.directives(job) == {"time": "7"}


@pytest.mark.parametrize(
    "line", ["sbatch a.sbatch", "sbatch --wrap=true", "", "sbatch /dev/zero", "sbatch fifo"]
)
def test_missing_script_fails(cluster: Slurm, line: str) -> None:
    cluster.known, cluster.script = [[cluster.job(submit_line=line)]], ""
    os.mkfifo(cluster.folder / "fifo")
    with pytest.raises(CheckFailed, match="no stored batch script of job 12"):
        evidence.script(evidence.job("a"))


def test_job_without_a_script_has_options(cluster: Slurm) -> None:
    cluster.known, cluster.script = [[cluster.job(submit_line="salloc -n 3 --time=5")]], ""
    assert evidence.options(evidence.job("a")) == {"ntasks": "3", "time": "5"}


def test_output(cluster: Slurm) -> None:
    cluster.known = [[cluster.job()]]
    job = evidence.job("a")
    assert evidence.output_file(job) == cluster.folder / "a-12.out"
    with pytest.raises(CheckFailed, match=r"no file .*a-12\.out"):
        evidence.output(job)
    (cluster.folder / "a-12.out").write_bytes(b"done \xff\n")
    assert evidence.output(job) == "done \ufffd\n"


def test_failed_check_has_three_parts_and_no_traceback() -> None:
    with pytest.raises(CheckFailed) as caught:
        evidence.check(0, "two", "three", "ls")
    assert (caught.value.found, caught.value.expected, caught.value.look) == ("two", "three", "ls")
    assert caught.value._render_traceback_() == ["Found: two.\nExpected: three.\nLook: ls"]
    assert str(CheckFailed("two", "three")) == "Found: two.\nExpected: three."
    evidence.check([1], "two", "three")
