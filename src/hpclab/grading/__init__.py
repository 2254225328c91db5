"""Submissions → marks, from evidence, each submission in its own sandbox.

submissions/  submissions: sources, archives, staging, receipts
execute/      assemble the notebook, run it in a sandbox
assess/       tests on the evidence, verdict
records/      the ledger and its audit
gradebook/    nbgrader's database, which only this package reads and writes
reports/      feedback, class reports, exports
model         plain values: labs, submissions, limits, marks, verdicts, results
settings      a course: time zone, deadlines, extensions, students; settings_file: its text
lateness      late days and penalties, pure
worker        one submission from the store to its result
batch, array  many submissions: the folder their tasks share, and one round as a Slurm job array
sanitize      untrusted text → text that is safe to show
formgrader    configuration of nbgrader's own programs in a course
"""
