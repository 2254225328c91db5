"""The Python API: use cases as functions. Values in, values out, progress by callback.

labs          labs of the clone, found by the names that people type
clusters      a cluster's spec from a site profile and this machine; its packages and folders
lab_session   JupyterLab for a learner on a cluster's login node (uses hand_out, a program inside)
targets       where a headless lab runs: a cluster of its own, a named cluster, a site
lab_run       one lab, run once
runs          many labs, run in parallel and kept
proofs        runs that show that a lab gives the marks that it should
parallel      work in parallel, cancelled in an orderly way
manual        commands and options that a lab's text may name
book          the course's book, from pages and kept runs
doctor        checks of this machine or of a site
course/       a course from release to export: notebooks, feedback, report, marks as CSV
grading/      a course graded: batches, rounds of tasks, results, marks
"""
