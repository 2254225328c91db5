"""Run one notebook as a batch job and report its result.

job         submit, watch, bring back: the only part that touches a cluster
result      executed notebook, log and accounting record → marks, first failure, state (pure)
artifacts   which files of a run are kept (pure), and how they are fetched
kept        runs on this machine's disk: a failed run never replaces a good one
stamps      digests of what a run was made from, to tell whether it is out of date
runs_table  the table of all kept runs

Everything on the cluster is done through ``launch``, a callable that runs a command on its login node: a plain
run at a real site, ``hpclab exec`` for the embedded cluster. So the same code serves both, whoever owns the files
there.
"""

from hpclab.headless.artifacts import ArtifactLimits
from hpclab.headless.job import FinishedRun, NotebookJob, run_notebook
from hpclab.headless.kept import EXECUTED, keep, read, reasons_to_run, write
from hpclab.headless.result import CellFailure, CellMark, RunResult, require_ok
from hpclab.headless.runs_table import read_rows, write_summary
from hpclab.headless.stamps import stamp

__all__ = [
    "EXECUTED",
    "ArtifactLimits",
    "CellFailure",
    "CellMark",
    "FinishedRun",
    "NotebookJob",
    "RunResult",
    "keep",
    "read",
    "read_rows",
    "reasons_to_run",
    "require_ok",
    "run_notebook",
    "stamp",
    "write",
    "write_summary",
]
