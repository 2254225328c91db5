"""One batch of `hpclab grade`: from submissions to marks.

lab_model         a lab's file → what a grader needs to know of it
version           the name of this grader, as results carry it
selection         which versions are graded, and how many at once
spool             the folder of a batch, which tasks read and write
rounds            where the tasks of a round run: here, or as a job array at a site
worker_pool       workers on this machine, bounded in number and time
local_worker      starts one of them, without any right of root
array_task        one task: grades its submissions and leaves a result for each
isolated_sandbox  an isolated cluster as the sandbox of one submission
results           results collected, checked and kept
marks             results → gradebook and ledger
class_run         all of these in order
"""
