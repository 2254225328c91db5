"""Keep strangers' programs in: what a sandbox and a sealed cluster are both made of.

kernel    the few system calls that Python lacks: unshare, mount, pivot_root, prctl
ids       which user ids a sandbox may have
rootfs    a root directory that shows only what is listed
seccomp   which system calls nobody in a sandbox may make
groups    a control group around one sandbox
limits    memory, processes, time, disk and output, and who enforces each of them here
"""
