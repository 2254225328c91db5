"""A real multi-node Slurm with accounting, inside one tree of Linux namespaces.

spec        what a cluster is: plain values, checked
identity    who is who inside, and which sub-ids stand behind them
config      values -> the text of every configuration file
services    values -> service directories for the supervisor (s6)
boot        the program that enters the namespaces and becomes the supervisor
cgroups     the control groups of a lasting cluster
accounting  the database with accounts and QOS, made once and kept as a template
lifecycle   up, down, status
entry       commands and shells on the cluster's nodes
faults      break things for real, and repair them
isolated    a cluster for untrusted code alone, all of it in memory
client      what whoever started it does with it
protocol    the messages to its agent
agent       the program that becomes its root, and stays to serve
populate    its root directory, its process 1, its nodes
drain       wait for its jobs, and leave no process of the learner's
recovery    which accepted jobs a killed controller forgot
"""
