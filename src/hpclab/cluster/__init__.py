"""A real multi-node Slurm with accounting, inside one tree of Linux namespaces.

spec        what a cluster is: plain values, checked
identity    who is who inside, and which sub-ids stand behind them
config      values -> the text of every configuration file
services    values -> service directories for the supervisor (s6)
boot        the program that enters the namespaces and becomes the supervisor
cgroups     the memory limits the host lets us set
accounting  the database with accounts and QOS, made once and kept as a template
lifecycle   up, down, status
entry       commands and shells on the cluster's nodes
faults      break things for real, and heal them
sealed      a cluster that one stranger has to himself, all of it in memory
keeper      the side of whoever started it
order       what is said to its warden
warden      the program that becomes its root, and stays to serve
furnish     its root directory, its process 1, its nodes
fence       control groups around it
usage       what the learner uses, where no group counts
converse    talk with a program in it, whatever that writes
stopping    wait for its jobs, and leave no process of the learner's
recovery    which accepted jobs a killed controller forgot
"""
