"""Confine untrusted programs: the parts of plain sandboxes, isolated clusters and persistent clusters' nodes.

kernel       the few system calls that Python lacks: unshare, mount, pivot_root, prctl
ids          the user ids of a sandbox, allocated so that no two share one
rootfs       a root directory that shows only listed files
seccomp      the system calls that no program in a sandbox may make
limits       memory, processes, time and disk, and what enforces each limit
usage        the resources that a sandbox's processes use together
termination  how a program in a sandbox ended
cgroup       control groups, of either version
pipes        lines exchanged with a program in a sandbox, bounded
protocol     messages with descriptors to the programs that serve a sandbox
"""
