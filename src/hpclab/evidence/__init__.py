"""What a test of an exercise may ask: jobs, stored scripts, output and files.

Tests look at evidence only, never at the learner's variables, so a test cell
runs unchanged in the learner's notebook and in a grader's own process. Every
answer comes from Slurm's accounting or from a file below the lab's folder.

    job = evidence.job("estimate")
    evidence.check(job.state == "COMPLETED", f"job {job.id} is {job.state}", "COMPLETED", "its output file")

checks    found, expected, look; what to raise when there is no evidence
asking    Slurm itself, patiently
records   jobs, attempts, steps, tasks
asked     what a job asked for: its script, options, dependencies, output
files     text, JSON and tables that a learner's program wrote
functions a function of the learner's, asked questions; a run of it once more
checkpoints   tensors, loss curves and pickles, as data
"""

from hpclab.evidence.asked import dependencies, directives, edges, options, output, output_file, script
from hpclab.evidence.checkpoints import Tensor, first_difference, json_lines, metadata, pickled_names, tensors
from hpclab.evidence.checks import CheckFailed, Fallback, NoAnswer, check
from hpclab.evidence.files import MOST_BYTES, job_id, json_of, modified, number, table, text
from hpclab.evidence.functions import Function, Raised, function, replay
from hpclab.evidence.records import attempts, job, jobs, jobs_ended, learner, steps, tasks, usage
from hpclab.slurm import Dependency, Job, Step, Usage

__all__ = [
    "MOST_BYTES",
    "CheckFailed",
    "Dependency",
    "Fallback",
    "Function",
    "Job",
    "NoAnswer",
    "Raised",
    "Step",
    "Tensor",
    "Usage",
    "attempts",
    "check",
    "dependencies",
    "directives",
    "edges",
    "first_difference",
    "function",
    "job",
    "job_id",
    "jobs",
    "jobs_ended",
    "json_lines",
    "json_of",
    "learner",
    "metadata",
    "modified",
    "number",
    "options",
    "output",
    "output_file",
    "pickled_names",
    "replay",
    "script",
    "steps",
    "table",
    "tasks",
    "tensors",
    "text",
    "usage",
]
