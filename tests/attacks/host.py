"""The machine around the grader, as an attacker would like to find it: secrets to read, canaries to harm.

with Host(folder) as host:          planted, listening, running
    ... grade ...
    host.harm()                     what was touched, in words; empty is good
    host.left()                     processes that descend from this one and were not here before
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import secrets
import selectors
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

import psutil

PLANTED = re.compile(r"planted-([a-z]+)-[0-9a-f]{16}")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans come to this process, so none can hide from it
THROUGH = "got-" + "through"  # what an attack prints when it has reached what it must not


def planted(kind: str) -> str:
    """A secret that nobody can guess, and everybody recognises."""
    return f"planted-{kind}-{secrets.token_hex(8)}"


class Host:
    """Secrets and canaries below ``folder``, whose parents everybody may enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret, self.canary = folder / "secret.txt", folder / "canary.txt"
        self.environment = planted("environment")
        self._heard: list[str] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Host:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.secret.write_text(planted("host") + "\n")
        self.canary.write_text("untouched\n")
        self.secret.chmod(0o644)
        self.canary.chmod(0o666)  # only isolation protects it
        self._before = {path: _look(path) for path in _watched(self.canary, self.secret)}
        self._ipc, self._mounts = _ipc(), _mounts()
        program = [sys.executable, "-c", "import time; time.sleep(100000)", "hpclab-canary"]
        self._process = self._stack.enter_context(subprocess.Popen(program))
        self._stack.callback(self._process.kill)
        self._listen()
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        self._stack.callback(ctypes.CDLL(None).prctl, SUBREAPER, 0, 0, 0, 0)
        self._children = {child.pid for child in psutil.Process().children(recursive=True)}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for child in self.left():
            with contextlib.suppress(psutil.Error):
                child.kill()
        self._stack.close()

    def _listen(self) -> None:
        """Sockets that a sandbox must not reach. Whoever connects or sends is heard."""
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        path = self.folder / "canary.sock"
        path.unlink(missing_ok=True)
        for name, family, kind, address in (
            ("TCP on the loopback", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("TCP on all addresses", socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 8081)),
            ("UDP on all addresses", socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 45454)),
            ("an abstract socket", socket.AF_UNIX, socket.SOCK_STREAM, "\0hpclab-canary"),
            ("a socket in a folder", socket.AF_UNIX, socket.SOCK_STREAM, str(path)),
        ):
            line = self._stack.enter_context(socket.socket(family, kind))
            try:
                line.bind(address)
            except OSError:  # taken by somebody else, who is then the one to be reached
                continue
            line.setblocking(False)
            if kind == socket.SOCK_STREAM:
                line.listen()
            self._selector.register(line, selectors.EVENT_READ, name)
        path.chmod(0o777)
        self._stop = threading.Event()
        listener = threading.Thread(target=self._hear, daemon=True)
        listener.start()
        self._stack.callback(listener.join, 10)
        self._stack.callback(self._stop.set)

    def _hear(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.2):
                line = key.fileobj
                assert isinstance(line, socket.socket)
                with contextlib.suppress(OSError):
                    if line.type == socket.SOCK_STREAM:
                        line.accept()[0].close()
                        self._heard.append(key.data)
                    elif b"hpclab-letterbox" in line.recv(100):
                        self._heard.append(key.data)

    def harm(self) -> list[str]:
        """What is not as it was."""
        found = [f"somebody came to {name}" for name in self._heard]
        found += [f"{path} is not as it was" for path, was in self._before.items() if _look(path) != was]
        if self._process.poll() is not None:
            found.append("the canary process is dead")
        found += [f"left in System V memory: {line}" for line in _ipc() - self._ipc]
        found += [
            f"left mounted: {line}" for line in _mounts() - self._mounts if str(self.folder.parent) in line
        ]
        found += [f"left in {path.parent}: {path.name}" for path in _letters()]
        return found

    def left(self) -> list[psutil.Process]:
        """Processes of the run that still live; those that are just ending get a moment."""
        found = [one for one in psutil.Process().children(recursive=True) if one.pid not in self._children]
        _, alive = psutil.wait_procs(found, timeout=10)
        return [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def _watched(*more: Path) -> list[Path]:
    folders = [
        Path(name)
        for name in ("/etc/cron.d", "/var/spool/cron", "/etc/profile.d", "/etc/sudoers.d", "/etc/ssh")
    ]
    files = [Path(name) for name in ("/etc/ld.so.preload", "/etc/sudoers", "/root/.bashrc", "/root/.profile")]
    return [*more, *folders, *files]


def _look(path: Path) -> object:
    """What must stay: of a file its content, of a folder its names."""
    try:
        return sorted(one.name for one in path.iterdir()) if path.is_dir() else path.read_bytes()
    except OSError:
        return None


def _ipc() -> set[str]:
    """The keys of System V segments, queues and semaphores that attacks would use."""
    found = set()
    for name in ("shm", "msg", "sem"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/sysvipc/{name}").read_text().splitlines()[1:]
            found |= {f"{name} {line.split()[0]}" for line in lines}
    return {one for one in found if one.split()[1] in (str(0x4850434C), str(0x41424344))}


def _mounts() -> set[str]:
    return {line.split(" ", 4)[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def _letters() -> list[Path]:
    """What attacks leave where it would outlive them."""
    names = ("hpclab-letterbox", "unpickled", "typed")
    folders = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock", "/root")
    return [path for folder in folders for name in names if (path := Path(folder) / name).exists()]
