"""Use cases, each a call: values in, values out, progress by callback. The command line is built on them.

clusters     which cluster: a spec from a site profile and this machine, its packages and folders
targets      where a lab runs without a person: a cluster of its own, a named cluster, a site
lab_run      one lab, run once
parallel     many at once, stopped in good order
course/      a course from release to export: notebooks, feedback, report, marks as CSV
grading/     a course graded: batches, rounds of tasks, results, marks
"""
