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
recovery    which accepted jobs a killed controller forgot
"""
