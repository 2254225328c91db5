"""Confine untrusted programs: what plain sandboxes, isolated clusters and the nodes of lasting clusters are made of.

kernel       the few system calls that Python lacks: unshare, mount, pivot_root, prctl
ids          which user ids a sandbox has, allocated so that no two share one
rootfs       a root directory that shows only what is listed
seccomp      which system calls no program in a sandbox may make
limits       memory, processes, time and disk, and who enforces each of them
usage        what the processes of a sandbox use together
termination  how a program in a sandbox came to its end
cgroup       control groups, of either version
pipes        lines exchanged with a program in a sandbox, bounded
protocol     messages with descriptors to the programs that serve a sandbox
"""
