"""Plots of jobs, each with a text alternative.

    jobs = evidence.jobs() print(plots.describe_timeline(jobs)) plots.timeline(jobs)

Every plot is a matplotlib figure that does not need pyplot, is readable in black and white, and appears in a
notebook with its text as the alternative text.

timeline            when jobs waited and ran
dependency_graph    which job waited for which
request_against_use resources that were requested and used
sweep               a measured value against a setting, with the best point marked
loss_curve          the loss of interrupted runs, compared with an uninterrupted one
signals             lifetimes of processes and the signals that they received
checkpoint_cost     lost time against the checkpoint interval, with the optimum marked
"""

from hpclab.plots.graph import dependency_graph, describe_dependency_graph
from hpclab.plots.interval import checkpoint_cost, describe_checkpoint_cost
from hpclab.plots.losses import describe_loss_curve, loss_curve
from hpclab.plots.picture import Picture
from hpclab.plots.signals import describe_signals, signals
from hpclab.plots.sweep import describe_sweep, sweep
from hpclab.plots.timeline import describe_timeline, timeline
from hpclab.plots.usage import describe_request_against_use, request_against_use

__all__ = [
    "Picture",
    "checkpoint_cost",
    "dependency_graph",
    "describe_checkpoint_cost",
    "describe_dependency_graph",
    "describe_loss_curve",
    "describe_request_against_use",
    "describe_signals",
    "describe_sweep",
    "describe_timeline",
    "loss_curve",
    "request_against_use",
    "signals",
    "sweep",
    "timeline",
]
