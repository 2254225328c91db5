"""Checks of a machine (can the embedded cluster run here?) and of a site, each with its remedy.

judge   values → a Finding, pure
look    what there is to see, handed to judge

What belongs to other parts (packages, cgroups, sub-ids) comes in as an argument.
"""
