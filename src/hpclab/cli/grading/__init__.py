"""One batch of `hpclab grade`: from submissions to results, through jobs of the Slurm at hand.

lab       a lab's file → what a grader has to know of it
version   which grader this is, as results name it
spool     the folder of a batch, which tasks read and write
jobs      the array jobs of a batch: submitted, watched, and what is missing submitted again
task      one array task: grades its submissions and leaves a result for each
results   results brought home, looked at and kept
run       all of these in order
show      what somebody who watches sees
"""
