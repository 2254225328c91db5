"""Run a submission's cells in a sandbox, after probes have shown that the sandbox is secure.

select, matching, assemble   the learner's notebook and the lab's → the cells to run, pure
interface, limits            what grading requires of a sandbox, and how much a submission may use
plain_sandbox                a sandbox for labs without a cluster: a fork of the forkserver
forkserver, sandbox_init, processes               the processes of such a sandbox
protocol, runner, ipython, outputs                the program inside that runs the cells
runner_log, executed         the runner's output, bounded, and the executed notebook
canary, probes, host_support whether this machine's sandboxes are secure
"""
