"""Submissions → marks: from evidence, in a sandbox of its own for each, many at once.

model      plain values: labs, submissions, limits, marks, verdicts, results
settings   a class: time zone, deadlines, extensions, people
intake/    what people handed in → staged, checked, kept by content, receipted
store      what was handed in, by content, and a receipt for each version
ledger     the append-only record of all that was received, graded, published
audit      ledger, receipts, contents and results, each against the others
policy     late days and penalties, pure
ipynb      the bytes of a stranger's notebook → its cells
chosen     which notebook of a folder is marked, pure
matching   which of its cells is which of the lab's, pure
notebook   the learner's notebook and the lab's → what is run, pure
sandbox    what is asked of a place for one submission
warm       such a place without a cluster: a fork of a warm process; its processes are warmed, hut, inmates
asking     what the keeper of such a place and the runner in it say to each other
runner     runs in it, as the learner: the cells
trusted    runs in it, as somebody else, when all of the learner's is stopped: the tests
canary     probes that try to break out, before anything is marked
limits     how much a submission may use, and what its job asks for
fit        whether a machine can keep strangers in, and what does it there
talk       what the runner says, cut to size
executed   the learner's notebook with what it printed
worker     one submission from the store to its result
batch      many: the folder that tasks share, who grades what, which results count
array      one round of them as a Slurm job array
verdict    what happened → one word, pure
gradebook  nbgrader's database: its only reader and writer
feedback   a result → a page and a text for the learner
harmless   what a stranger wrote → what may be shown; png: a picture alone
pages      a page in one file, nothing in it that runs
overview   one lab of a class, everybody on a row
report     a class at a glance; report_page: that as HTML
export     marks as CSV
formgrader what nbgrader's own programs may do in a class
"""
