"""System packages of the embedded cluster, unpacked into a private folder.

prefix      the list of packages, and the finished folder
apt         downloads with the distribution's apt, with private state
deb         unpacks archives and does the work of their install scripts
apptainer   adds Apptainer if the distribution does not have it
elf         adapts a program that was linked against a newer glibc
"""
