"""One batch of `hpclab grade`: from submissions to results.

lab_model         a lab's file → what a grader needs to know of it
version           the name of this grader, as results carry it
spool             the folder of a batch, which tasks read and write
array_rounds      the array jobs of a batch: submitted, watched, and missing results submitted again
array_task        one array task: grades its submissions and leaves a result for each
isolated_sandbox  an isolated cluster as the sandbox of one submission
results           results collected, checked and kept
class_run         all of these in order
"""
