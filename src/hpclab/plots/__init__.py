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
"""

from hpclab.plots.graph import dependency_graph, describe_dependency_graph
from hpclab.plots.picture import Picture
from hpclab.plots.sweep import describe_sweep, sweep
from hpclab.plots.timeline import describe_timeline, timeline
from hpclab.plots.usage import describe_request_against_use, request_against_use

__all__ = [
    "Picture",
    "dependency_graph",
    "describe_dependency_graph",
    "describe_request_against_use",
    "describe_sweep",
    "describe_timeline",
    "request_against_use",
    "sweep",
    "timeline",
]
