"""Run one notebook as a batch job, and say what came of it.

job        submit, watch, bring back: the only part that touches a cluster
result     executed notebook, log and accounting record → what happened (pure)
artifacts  which files of a run are worth keeping (pure), and how they come here
kept       runs on this machine's disk: the last good one is never lost
stamps     what a run was made from, to tell whether it is still true
report     the table of all kept runs

Everything on the cluster is done through ``launch``, a callable that runs a
command on its login node: a plain run at a real site, ``hpclab exec`` for the
embedded cluster. So the same code serves both, whoever owns the files there.
"""

from hpclab.headless.artifacts import Limits, Skipped
from hpclab.headless.job import Order, Run, run
from hpclab.headless.kept import EXECUTED, LOG, RESULT, keep, read, reasons_to_run, write
from hpclab.headless.report import rows, summarize
from hpclab.headless.result import Failure, Mark, Result, require
from hpclab.headless.stamps import stamp

__all__ = [
    "EXECUTED",
    "LOG",
    "RESULT",
    "Failure",
    "Limits",
    "Mark",
    "Order",
    "Result",
    "Run",
    "Skipped",
    "keep",
    "read",
    "reasons_to_run",
    "require",
    "rows",
    "run",
    "stamp",
    "summarize",
    "write",
]
