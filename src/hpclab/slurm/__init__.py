"""Slurm's command lines, their output, and job records. Only this package knows their formats.

jobs        Job, Step, Usage, Dependency
commands    values -> argument lists
options     batch scripts and command lines -> options of sbatch
parse       text -> jobs, steps, numbers
queries     run the commands; wait with growing pauses
"""

from hpclab.slurm.commands import (
    SACCT_FIELDS,
    SEPARATOR,
    SQUEUE_FIELDS,
    STEP_FIELDS,
    controller_script_argv,
    sacct_argv,
    sbatch_argv,
    squeue_argv,
    steps_argv,
    stored_script_argv,
)
from hpclab.slurm.jobs import (
    FINAL_STATES,
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
    merge_records,
    parse_array_indices,
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
    resolve_output_path,
    select_attempts,
    select_latest,
)
from hpclab.slurm.queries import (
    Runner,
    query_accounting,
    query_attempts,
    query_controller_script,
    query_queue,
    query_steps,
    query_stored_script,
    wait_with_backoff,
)

__all__ = [
    "FINAL_STATES",
    "SACCT_FIELDS",
    "SEPARATOR",
    "SQUEUE_FIELDS",
    "STEP_FIELDS",
    "Dependency",
    "Job",
    "Runner",
    "Step",
    "Usage",
    "controller_script_argv",
    "merge_records",
    "parse_array_indices",
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
    "query_accounting",
    "query_attempts",
    "query_controller_script",
    "query_queue",
    "query_steps",
    "query_stored_script",
    "read_dependencies",
    "read_directives",
    "read_options",
    "read_submit_line",
    "resolve_output_path",
    "sacct_argv",
    "sbatch_argv",
    "select_attempts",
    "select_latest",
    "split_words",
    "squeue_argv",
    "steps_argv",
    "stored_script_argv",
    "wait_with_backoff",
]
