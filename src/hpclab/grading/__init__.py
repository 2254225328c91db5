"""Submissions → marks: from evidence, in a sandbox of its own for each, many at once.

model      plain values: labs, submissions, limits, marks, verdicts, results
settings   a class: time zone, deadlines, extensions, people
intake/    what people handed in → staged, checked, kept by content, receipted
ledger     the append-only record of all that was received, graded, published
policy     late days and penalties, pure
notebook   the learner's notebook and the lab's → what is run, pure
sandbox    what is asked of a place for one submission
warm       such a place without a cluster: a fork of a warm process
runner     runs in it, as the learner: the cells
trusted    runs in it, as somebody else, when all of the learner's is stopped: the tests
canary     probes that try to break out, before anything is marked
worker     one submission from the store to its result
batch      many: tasks of a job array, what is done, what is left
verdict    what happened → one word, pure
gradebook  nbgrader's database: its only reader and writer
feedback   a result → a page and a text for the learner
report     a class at a glance; export: marks as CSV
"""
