import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(512)
ptrace_attach = 16
CALLS = {  # x86-64 numbers
    "bpf": (321, 0, buffer, 64), "perf_event_open": (298, buffer, 0, -1, -1, 0), "io_uring_setup": (425, 8, buffer),
    "userfaultfd": (323, 0), "kexec_load": (246, 0, 0, 0, 0), "init_module": (175, buffer, 64, b""), "open_by_handle_at": (304, -100, buffer, 0),
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, None), "umount2": (166, b"/proc", 2), "pivot_root": (155, b"/tmp", b"/tmp"),
    "open_tree": (428, -100, b"/", 1), "fsopen": (430, b"tmpfs", 0), "swapon": (167, b"/tmp/x", 0), "reboot": (169, 0xFEE1DEAD, 672274793, 0, None),
    "settimeofday": (164, buffer, None), "sethostname": (170, b"mine", 4), "quotactl": (179, 0x800007, b"/dev/sda", 0, buffer),
    "unshare user": (272, 0x10000000), "unshare mount": (272, 0x20000), "unshare net": (272, 0x40000000), "setns": (308, 0, 0),
    "keyctl": (250, 0, -3, 1), "add_key": (248, b"user", b"x", b"y", 1, -3), "ptrace the parent": (101, ptrace_attach, os.getppid(), 0, 0),
    "ptrace the first": (101, ptrace_attach, 1, 0, 0),
    "pidfd_getfd": (438, libc.syscall(434, os.getppid(), 0), 1, 0), "acct": (163, b"/tmp/x"), "syslog": (103, 3, buffer, 512),
    "fanotify_init": (300, 0, 0), "lookup_dcookie": (212, 0, buffer, 64),
    "chroot": (161, b"/tmp"), "setuid 0": (105, 0), "setgid 0": (106, 0), "setgroups": (116, 1, buffer), "ioperm": (173, 0, 1, 1), "iopl": (172, 3),
}
for name, (number, *arguments) in CALLS.items():
    if os.fork() == 0:
        status = libc.syscall(number, *arguments)
        if status >= 0:
            os.write(1, b"got-" + f"through: {name}\n".encode())
        os._exit(0)
    os.wait()
own = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)  # process_vm_readv: EPERM comes before a bad address
libc.syscall.restype = ctypes.c_long
for pid in (1, os.getppid()):
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    status = libc.syscall(ctypes.c_long(310), ctypes.c_long(pid), own, one, (ctypes.c_void_p * 2)(4096, 8), one, none)
    if status >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        print("got-" + "through: the memory of", pid, os.strerror(ctypes.get_errno()))
status = open("/proc/self/status").read()
if "NoNewPrivs:\t1" not in status:
    print("got-" + "through: new privileges may be had")
if "CapEff:\t0000000000000000" not in status or "Seccomp:\t2" not in status:
    print("got-" + "through:", [line for line in status.splitlines() if line.startswith(("Cap", "Seccomp"))])


def spread(values):
    return max(values) - min(values)
