"""Pictures of jobs, each with a text that says the same for those who cannot see it.

    jobs = evidence.jobs()
    print(plots.describe_timeline(jobs))
    plots.timeline(jobs)

Every picture is a matplotlib figure that needs no pyplot, can be read in black and white, and shows
itself in a notebook with its text as the alternative.

timeline            when jobs waited and ran
dependency_graph    which job waited for which
request_against_use what was asked for, and how much of it was used
sweep               one measured value against one setting, the best marked
loss_curve          the loss of interrupted runs, and where they leave the whole one
signals             who lived how long, and which signal reached whom
checkpoint_cost     time lost against the interval between checkpoints, the best marked
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
