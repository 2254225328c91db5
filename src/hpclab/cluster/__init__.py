"""A real multi-node Slurm with accounting, inside one tree of Linux namespaces.

spec        the description of a cluster: plain values, checked
identity    accounts inside, and the sub-ids behind them
config      values -> the text of every configuration file
services    values -> service directories for the supervisor (s6)
boot        the program that enters the namespaces and becomes the supervisor
cgroups     the control groups of a persistent cluster
accounting  the database with accounts and QOS, made once and kept as a template
lifecycle   up, down, status
entry       commands and shells on the cluster's nodes
faults      inject real faults, and undo them
isolated    a cluster for untrusted code, entirely in memory
client      the requests to an isolated cluster
protocol    the messages between client and agent
agent       the program that becomes an isolated cluster's root and serves requests
populate    its root directory, its process 1, its nodes
drain       wait for the learner's jobs, then stop all of the learner's processes
recovery    accepted jobs that a killed controller lost
"""
