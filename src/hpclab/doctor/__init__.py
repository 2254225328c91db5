"""Checks of a machine for the embedded cluster, and of a site, each with a remedy.

checks   values → a Diagnosis, pure
probes   reads the values from the machine or site and passes them to checks

The caller passes the values of other packages (system packages, cgroups, sub-ids).
"""
