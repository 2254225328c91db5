"""The only part that speaks Slurm: command lines, their output, and job records.

jobs        what a job and a step are
commands    values -> argument lists
options     scripts and command lines -> options of sbatch
parse       text -> jobs, steps, numbers
ask         ask Slurm, wait politely
"""

from hpclab.slurm.ask import (
    Runner,
    ask_accounting,
    ask_attempts,
    ask_batch_script,
    ask_held_script,
    ask_queue,
    ask_steps,
    wait_politely,
)
from hpclab.slurm.commands import (
    SACCT_FIELDS,
    SEPARATOR,
    SQUEUE_FIELDS,
    STEP_FIELDS,
    batch_script_argv,
    held_script_argv,
    sacct_argv,
    sbatch_argv,
    squeue_argv,
    steps_argv,
)
from hpclab.slurm.jobs import (
    FINAL,
    Dependency,
    Job,
    Step,
    Usage,
)
from hpclab.slurm.options import (
    read_dependencies,
    read_directives,
    read_options,
    read_submit_line,
    split_words,
)
from hpclab.slurm.parse import (
    array_indices,
    attempts,
    latest,
    merged,
    output_path,
    parse_batch_script,
    parse_cpu_time,
    parse_duration,
    parse_exit,
    parse_sacct,
    parse_size,
    parse_squeue,
    parse_steps,
    parse_submitted,
    parse_time,
    parse_tres,
)

__all__ = [
    "FINAL",
    "SACCT_FIELDS",
    "SEPARATOR",
    "SQUEUE_FIELDS",
    "STEP_FIELDS",
    "Dependency",
    "Job",
    "Runner",
    "Step",
    "Usage",
    "array_indices",
    "ask_accounting",
    "ask_attempts",
    "ask_batch_script",
    "ask_held_script",
    "ask_queue",
    "ask_steps",
    "attempts",
    "batch_script_argv",
    "held_script_argv",
    "latest",
    "merged",
    "output_path",
    "parse_batch_script",
    "parse_cpu_time",
    "parse_duration",
    "parse_exit",
    "parse_sacct",
    "parse_size",
    "parse_squeue",
    "parse_steps",
    "parse_submitted",
    "parse_time",
    "parse_tres",
    "read_dependencies",
    "read_directives",
    "read_options",
    "read_submit_line",
    "sacct_argv",
    "sbatch_argv",
    "split_words",
    "squeue_argv",
    "steps_argv",
    "wait_politely",
]
