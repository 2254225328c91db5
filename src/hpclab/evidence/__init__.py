"""The functions that tests of a lab call: jobs, stored scripts, output and files.

Tests look at evidence only, never at the learner's variables, so a test cell runs unchanged in the learner's
notebook and in the grader's own process. Every answer comes from Slurm or from a file in the lab's folder.

    job = evidence.job("estimate") evidence.check(job.state == "COMPLETED", f"job {job.id} is {job.state}",
    "COMPLETED", "its output file")

checks          check and its exceptions
slurm_queries   queries to Slurm, repeated while its records are incomplete
records         jobs, attempts, steps, array tasks
job_requests    the script, options, dependencies and output file of a job
files           text, JSON and CSV files that the learner's program wrote
functions       calls of a function that the learner wrote, and replays of a program
checkpoints     tensors, loss curves and pickles, read as data
"""

from hpclab.evidence.checkpoints import Tensor, first_difference, json_lines, metadata, pickled_names, tensors
from hpclab.evidence.checks import CheckFailed, Fallback, NoAnswer, check
from hpclab.evidence.files import MAX_BYTES, job_id, json_of, modified, number, table, text
from hpclab.evidence.functions import Function, Raised, function, replay
from hpclab.evidence.job_requests import dependencies, directives, edges, options, output, output_file, script
from hpclab.evidence.records import attempts, job, jobs, jobs_ended, learner, steps, tasks, usage
from hpclab.slurm import Dependency, Job, Step, Usage

__all__ = [
    "MAX_BYTES",
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
