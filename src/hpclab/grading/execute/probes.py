"""The canary's probes: each is a cell, run as the learner, that prints whether the sandbox confined it.

A probe calls ``held(...)`` or ``out(...)`` with what it found; one that raises calls neither, and counts as
out.
"""

from __future__ import annotations

import msgspec

from hpclab.sandbox.termination import Termination

PRELUDE = r"""
import ctypes, errno, glob, json, os, signal, socket, stat, subprocess, sys, time

libc = ctypes.CDLL(None, use_errno=True)


def say(kept, detail):
    print(json.dumps({"held": bool(kept), "detail": str(detail)}), flush=True)


def refused(*calls):
    "Every one of these must raise OSError; what did not is out."
    through = []
    for name, call in calls:
        try:
            call()
            through.append(name)
        except OSError:
            pass
    say(not through, ", ".join(through) if through else "")


def system(number, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(*map(ctypes.c_long, (number, *arguments))) >= 0:
        return
    raise OSError(ctypes.get_errno(), "refused")


def not_permitted(*calls):
    "Like refused, but for the right reason: a call that fails for its senseless arguments is not refused."
    through = []
    for name, call in calls:
        try:
            call()
            through.append(name)
        except OSError as problem:
            if problem.errno not in (errno.EPERM, errno.ENOSYS, errno.EACCES, errno.EAFNOSUPPORT):
                through.append(f"{name} ({problem.strerror})")
    say(not through, ", ".join(through))


def reach(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as end:
        end.settimeout(0.3)
        end.connect(address)
        if kind == socket.SOCK_DGRAM:
            end.send(b"x")
"""

PROBES = {
    "reach the host by TCP": """
calls = []
for port in BAIT["ports"]:
    calls += [(f"127.0.0.1:{port}", lambda port=port: reach(socket.AF_INET, ("127.0.0.1", port)))]
    calls += [(f"[::1]:{port}", lambda port=port: reach(socket.AF_INET6, ("::1", port)))]
refused(*calls)
""",
    "reach another network": """
refused(
    ("TCP", lambda: reach(socket.AF_INET, ("192.0.2.1", 443))),
    ("UDP", lambda: reach(socket.AF_INET, ("192.0.2.1", 53), socket.SOCK_DGRAM)),
    ("IPv6", lambda: reach(socket.AF_INET6, ("2001:db8::1", 53), socket.SOCK_DGRAM)),
    ("DNS", lambda: socket.getaddrinfo("example.org", 443)),
)
""",
    "reach a Unix socket of the host": """
refused(*((repr(name), lambda name=name: reach(socket.AF_UNIX, name)) for name in BAIT["unix"]))
""",
    "open sockets of other kinds": """
not_permitted(
    ("vsock", lambda: socket.socket(40, socket.SOCK_STREAM)),
    ("kernel crypto", lambda: socket.socket(38, socket.SOCK_SEQPACKET)),
    ("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    ("packet", lambda: socket.socket(17, socket.SOCK_RAW)),
)
""",
    "read the host's files": """
def there(path):
    try:
        return bool(os.listdir(path)) if os.path.isdir(path) else os.path.lexists(path)
    except OSError:
        return False
seen = [path for path in BAIT["files"] if there(path)]
say(not seen, ", ".join(seen))
""",
    "see the host's processes": """
seen = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    for part in ("cmdline", "environ"):
        try:
            with open(f"/proc/{pid}/{part}", "rb") as file:
                if BAIT["word"].encode() in file.read():
                    seen.append(f"{pid}/{part}")
        except OSError:
            pass
say(not seen, ", ".join(seen))
""",
    "use a scheduler of the host": """
places = ("/run/munge/munge.socket.2", "/var/run/munge/munge.socket.2", "/etc/munge/munge.key", "/run/dbus/system_bus_socket",
          "/run/docker.sock", "/var/run/docker.sock", "/run/systemd/private", "/run/slurm/dbus.sock", "/etc/krb5.keytab")
in_cluster = os.path.exists("/run/hpclab")  # whose munge is its own
seen = [path for path in places if os.path.exists(path) and not (in_cluster and "munge.socket" in path)]
say(not seen, ", ".join(seen))
""",
    "find inherited descriptors": """
seen = []
for name in os.listdir("/proc/self/fd"):
    try:
        link = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        continue
    if not link.startswith(("pipe:", "/dev/null", "/dev/urandom", "/proc/", "anon_inode:[eventp", os.path.expanduser("~"))):
        seen.append(f"{name} -> {link}")
say(not seen, ", ".join(seen))
""",
    "gain rights": """
with open("/proc/self/status") as file:
    status = dict(line.strip("\\n").split(":\\t", 1) for line in file if ":\\t" in line)
seen = [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(status[name], 16)]
seen += [] if status["NoNewPrivs"] == "1" else ["set-uid programs"]
seen += [] if status["Seccomp"] == "2" else ["no filter"]
for call in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    try:
        call()
        seen.append("root's id")
    except OSError:
        pass
say(not seen, ", ".join(seen))
""",
    "make namespaces and mounts": """
x86 = os.uname().machine == "x86_64"
not_permitted(
    ("user namespace", lambda: system(272 if x86 else 97, 0x10000000)),
    ("mount", lambda: system(165 if x86 else 40, 0, 0, 0, 0, 0)),
    ("fsopen", lambda: system(430, 0, 0)),
    ("open_tree", lambda: system(428, -100, 0, 1)),
)
""",
    "use parts of the kernel that nothing divides": """
x86 = os.uname().machine == "x86_64"
not_permitted(
    ("keyctl", lambda: system(250 if x86 else 219, 0, -3, 0)),
    ("io_uring", lambda: system(425, 1, 0)),
    ("bpf", lambda: system(321 if x86 else 280, 0, 0, 0)),
    ("perf_event_open", lambda: system(298 if x86 else 241, 0, 0, -1, -1, 0)),
    ("userfaultfd", lambda: system(323 if x86 else 282, 0)),
    ("open_by_handle_at", lambda: system(304 if x86 else 265, -100, 0, 0)),
    ("clock_settime", lambda: system(227 if x86 else 112, 0, 0)),
)
""",
    "write where it should not": """
def write(path):
    with open(path, "ab"):
        pass
places = ["/usr/canary", "/etc/passwd", "/etc/canary", "/canary", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
          os.path.join(sys.prefix, "canary"), os.path.join(os.path.dirname(json.__file__), "canary")]
refused(*((path, lambda path=path: write(path)) for path in places))
""",
    "reach devices": """
seen = [path for path in ("/dev/mem", "/dev/kmsg", "/dev/kvm") if os.path.exists(path)]
for folder, _, files in os.walk("/dev"):
    seen += [name for name in files if stat.S_ISBLK(os.lstat(f"{folder}/{name}").st_mode)]
try:
    os.mknod("device", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    seen.append("mknod")
except OSError:
    pass
say(not seen, ", ".join(seen))
""",
    "write an accounting record": """
import shutil
done = {}
for words in ("sacctmgr -i add account canary", "sacctmgr -i modify user where name=learner set adminlevel=admin"):
    if shutil.which("sacctmgr"):
        done[words] = subprocess.run(words.split(), stdin=subprocess.DEVNULL, capture_output=True, timeout=20).returncode
say(0 not in done.values(), done)
""",
    "outlive the stop, first part": """
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
    with open("beat", "w") as file:
        while True:
            file.seek(0)
            file.write(str(time.monotonic()))
            file.flush()
            time.sleep(0.02)
while not os.path.exists("beat"):
    time.sleep(0.01)
say(True, "")
""",
    "leave something behind, first part": """
for folder in ("/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), "/run"):
    try:
        with open(f"{folder}/{BAIT['word']}", "w") as file:
            file.write("here")
    except OSError:
        pass
say(True, "")
""",
    "fill the disk": """
through = []
for folder in (os.getcwd(), "/tmp", "/var/tmp", "/dev/shm"):
    written = 0
    for number in range(4):
        path = f"{folder}/fill-{number}"
        try:
            with open(path, "wb", buffering=0) as file:
                while written <= BAIT["disk_mib"] << 20:
                    written += file.write(bytes(1 << 18))
        except OSError:
            pass
    for path in glob.glob(f"{folder}/fill-*"):
        os.unlink(path)
    if written > BAIT["disk_mib"] << 20:
        through.append(f"{written >> 20} MB in {folder}")
say(not through, ", ".join(through))
""",
    "make files without end": """
through = []
for folder in (os.getcwd(), "/tmp", "/var/tmp", "/dev/shm"):
    made = 0
    try:
        while made <= BAIT["inodes"]:
            os.mkdir(f"{folder}/many-{made}")
            made += 1
    except OSError:
        pass
    for path in glob.glob(f"{folder}/many-*"):
        os.rmdir(path)
    if made > BAIT["inodes"]:
        through.append(f"{made} in {folder}")
say(not through, ", ".join(through))
""",
}

# Run in a second sandbox to look for traces of the first one.
ALONE = {
    "leave something behind": """
seen = [f"{folder}/{BAIT['word']}" for folder in ("/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), "/run")
        if os.path.exists(f"{folder}/{BAIT['word']}")]
say(not seen, ", ".join(seen))
""",
}

# Run by the trusted process afterwards.
AFTER = """
import time
from hpclab import evidence
first = evidence.text("beat")
time.sleep(0.3)
second = evidence.text("beat")
evidence.check(first == second, f"a daemon of the learner's goes on: {first!r}, then {second!r}", "silence")
"""


class Limited(msgspec.Struct, frozen=True, kw_only=True):
    """A program that breaks a limit: the sandbox must report ``limit``, or the program prints ``refused``."""

    name: str
    limit: Termination
    source: str
    refused: str = "nothing that is ever printed"
    seconds: float = 0.0


LIMITED = (
    Limited(
        name="take more memory than it may",
        limit=Termination.MEMORY,
        source="""
taken = []
while len(taken) < 3 * BAIT["memory_mib"] // 16:
    taken.append(bytearray(b"x" * (16 << 20)))
import time
time.sleep(1)
""",
    ),
    Limited(
        name="start more processes than it may",
        limit=Termination.PROCESSES,
        refused="refused",
        source="""
import os, time
started, (wait, release) = [], os.pipe()
for _ in range(2 * BAIT["processes"]):
    try:
        started.append(os.fork())
    except OSError:
        # None may be left: a crowd would have the next probe stopped in its place.
        os.close(release)
        for pid in started:
            os.waitpid(pid, 0)
        print("refused")
        break
    if not started[-1]:
        os.close(release)
        os.read(wait, 1)
        os._exit(0)
else:
    time.sleep(1)
""",
    ),
    Limited(
        name="print more than it may",
        limit=Termination.OUTPUT,
        source="""
for _ in range(2 * BAIT["output_mib"]):
    print("x" * (1 << 20))
""",
    ),
    Limited(
        name="go on when its time is over",
        limit=Termination.TIMEOUT,
        seconds=0.3,
        source="""
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    pass
""",
    ),
)
