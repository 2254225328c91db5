"""The only part that speaks Slurm: command lines, their output, and job records.

jobs        what a job and a node are
commands    values -> argument lists
parse       text -> jobs, nodes, numbers
ask         ask Slurm, wait politely
"""

from hpclab.slurm.ask import Runner, ask_accounting, ask_batch_script, ask_queue, wait_for_end, wait_politely
from hpclab.slurm.commands import (
    SACCT_FIELDS,
    SEPARATOR,
    SQUEUE_FIELDS,
    batch_script_argv,
    sacct_argv,
    sbatch_argv,
    scontrol_argv,
    sinfo_argv,
    squeue_argv,
)
from hpclab.slurm.jobs import FINAL, Job, Node
from hpclab.slurm.parse import (
    latest,
    output_path,
    parse_batch_script,
    parse_duration,
    parse_exit,
    parse_sacct,
    parse_scontrol,
    parse_sinfo,
    parse_squeue,
    parse_submitted,
    parse_time,
    split_node_state,
)

__all__ = [
    "FINAL",
    "SACCT_FIELDS",
    "SEPARATOR",
    "SQUEUE_FIELDS",
    "Job",
    "Node",
    "Runner",
    "ask_accounting",
    "ask_batch_script",
    "ask_queue",
    "batch_script_argv",
    "latest",
    "output_path",
    "parse_batch_script",
    "parse_duration",
    "parse_exit",
    "parse_sacct",
    "parse_scontrol",
    "parse_sinfo",
    "parse_squeue",
    "parse_submitted",
    "parse_time",
    "sacct_argv",
    "sbatch_argv",
    "scontrol_argv",
    "sinfo_argv",
    "split_node_state",
    "squeue_argv",
    "wait_for_end",
    "wait_politely",
]
