"""The filter for untrusted programs: what it refuses, and what has to go on working."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys

import pytest

from hpclab.sandbox import seccomp

X86 = platform.machine() == "x86_64"
# Each call with arguments that the kernel would object to in another way, or that do no harm.
CALLS = {
    "unshare": (272, 0x10000000),
    "setns": (308, -1, 0),
    "mount": (165, 0, 0, 0, 0, 0),
    "pivot_root": (155, 0, 0),
    "fsopen": (430, 0, 0),
    "move_mount": (429, -1, 0, -1, 0, 0),
    "mount_setattr": (442, -1, 0, 0, 0, 0),
    "open_tree_attr": (467, -1, 0, 0, 0, 0),
    "clone, new user namespace": (56, 0x10000000 | 17, 0, 0, 0, 0),
    "clone, new network": (56, 0x40000000 | 17, 0, 0, 0, 0),
    "keyctl": (250, 0, -3, 0, 0, 0),
    "add_key": (248, 0, 0, 0, 0, 0),
    "request_key": (249, 0, 0, 0, 0),
    "io_uring_setup": (425, 0, 0),
    "bpf": (321, -1, 0, 0),
    "perf_event_open": (298, 0, 0, 0, 0, 0),
    "userfaultfd": (323, 1),
    "open_by_handle_at": (304, -1, 0, 0),
    "kexec_load": (246, 0, 0, 0, 0),
    "init_module": (175, 0, 0, 0),
    "clock_settime": (227, 0, 0),
    "settimeofday": (164, 0, 0),
    "swapon": (167, 0, 0),
    "quotactl": (179, -1, 0, 0, 0),
    "acct": (163, 0),
    "reboot": (169, 0, 0, 0, 0),
    "syslog": (103, 10, 0, 0),
    "TIOCSTI": (16, 0, 0x5412, 0),
    "TIOCSTI, with bits that the kernel drops": (16, 0, 0x100005412, 0),
    "READ_IMPLIES_EXEC": (135, 0x0400000),
    "all but ADDR_NO_RANDOMIZE": (135, 0xFFFBFFFF),
}
MAKE = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
said = {}
for name, call in json.loads(sys.argv[1]).items():
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(word) for word in call])
    said[name] = ctypes.get_errno() if result < 0 else 0
print(json.dumps(said))
"""


def under(code: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """What Python says when it runs ``code`` under the filter."""
    program = [sys.executable, "-I", "-m", "hpclab.sandbox.seccomp", *options, "--"]
    done = subprocess.run(
        [*program, sys.executable, "-I", "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(calls: dict[str, tuple[int, ...]], *options: str) -> dict[str, int]:
    return json.loads(under(MAKE, json.dumps(calls), options=options))


@pytest.mark.skipif(not X86, reason="the numbers are x86_64's")
def test_what_leads_out_is_refused() -> None:
    assert made(CALLS) == dict.fromkeys(CALLS, errno.EPERM)
    assert made({"clone3": (435, 0, 0)}) == {"clone3": errno.ENOSYS}


@pytest.mark.skipif(not X86, reason="the numbers are x86_64's")
def test_a_lab_that_builds_containers_keeps_namespaces_and_mounts() -> None:
    own = {
        name: call for name, call in CALLS.items() if name in ("keyctl", "bpf", "TIOCSTI", "io_uring_setup")
    }
    assert made(own, "--containers") == dict.fromkeys(own, errno.EPERM)
    inner = "unshare --user --map-root-user --mount --net sh -ec 'mount -t tmpfs none /mnt; echo in'"
    assert under(f"import os; os.execvp('sh', ['sh', '-c', {inner!r}])", options=("--containers",)) == "in\n"


SOCKETS = """
import json, socket
said = {}
for family in range(70):
    try:
        socket.socket(family, socket.SOCK_DGRAM if family != 16 else socket.SOCK_RAW).close()
        said[family] = 0
    except OSError as problem:
        said[family] = problem.errno
try:
    socket.socket(16, socket.SOCK_RAW, 9)  # NETLINK_AUDIT
except OSError as problem:
    said["audit"] = problem.errno
print(json.dumps(said))
"""


def test_only_usual_sockets_are_made() -> None:
    said = json.loads(under(SOCKETS))
    usual = {"1", "2", "10", "16"}
    assert {name: said[name] for name in usual} == dict.fromkeys(usual, 0)
    others = set(said) - usual - {"audit"}
    assert {said[name] for name in others} == {errno.EAFNOSUPPORT}
    assert said["audit"] == errno.EPROTONOSUPPORT


OTHER_KINDS = """
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(ctypes.c_long(0x40000000 | 39))  # x32: getpid
x32 = ctypes.get_errno()
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3")  # i386: mov $20, %eax; int $0x80; ret
i386 = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print(x32, i386)
"""


@pytest.mark.skipif(not X86, reason="an x86_64 machine has these")
def test_calls_of_other_kinds_are_refused() -> None:
    assert under(OTHER_KINDS).split() == [str(errno.ENOSYS), str(-errno.ENOSYS)]


USUAL = """
import ctypes, multiprocessing, os, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
personality = [libc.personality(ctypes.c_ulong(what)) for what in (0xFFFFFFFF, 0x0040000, 0xFFFFFFFF, 0)]
threading.Thread(target=lambda: None).start()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
child = subprocess.Popen(["sleep", "60"])
attached = libc.ptrace(16, child.pid, 0, 0)  # PTRACE_ATTACH
os.waitpid(child.pid, 0)
child.kill()
print(personality, attached, open("/proc/self/status").read().split("NoNewPrivs:")[1].split()[0])
"""


def test_threads_processes_and_debuggers_work() -> None:
    assert under(USUAL) == "[0, 0, 262144, 262144] 0 1\n"


def test_set_uid_programs_are_left_where_somebody_may_ask_for_that() -> None:
    code = "print(open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0])"
    assert under(code).strip() == "1"
    if os.geteuid() == 0:
        assert under(code, options=("--setuid",)).strip() == "0"


def test_the_program_says_what_is_wrong() -> None:
    program = [sys.executable, "-I", "-m", "hpclab.sandbox.seccomp"]
    for words, status in ((["true"], 1), (["--"], 1), (["--other", "--", "true"], 1), (["--", "/none"], 127)):
        done = subprocess.run([*program, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == status
        assert done.stderr.startswith(("usage: ", "/none: No such file"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError("cannot open shared object file")

    monkeypatch.setattr(seccomp.ctypes, "CDLL", none)
    with pytest.raises(seccomp.HostUnsuitable, match="libseccomp"):
        seccomp.program()
