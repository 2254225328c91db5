"""One batch of `hpclab grade`: from submissions to marks.

lab_model         a lab's file → the parts that a grader needs
version           the name of this grader, recorded in results
selection         which versions are graded, and how many at once
spool             the folder of a batch, which tasks read and write
rounds            where the tasks of a round run: here, or as a job array at a site
worker_pool       workers on this machine, limited in number and time
local_worker      starts one of them, without root's rights
array_task        one task: grades its submissions and writes a result for each
isolated_sandbox  an isolated cluster as the sandbox of one submission
results           results collected, checked and kept
marks             results → gradebook and ledger
class_run         all of these in order
"""
