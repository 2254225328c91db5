"""What a worker that root starts can see and do: nothing that the account of a batch may not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hpclab import layout
from hpclab.app.grading import local_worker
from hpclab.app.grading.local_worker import WorkerConfig

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's workers change their account")

TRIES = """
import json, os, socket, sys
from pathlib import Path
spool, course, home, clone = map(Path, sys.argv[1:])
found = {}
def attempt(name, what):
    try:
        found[name] = what()
    except OSError as problem:
        found[name] = type(problem).__name__
attempt("read the class", lambda: (course / "settings.toml").read_text())
attempt("read a closed home", lambda: (home / "secret").read_text())
attempt("read the shadow", lambda: Path("/etc/shadow").read_text())
attempt("read another spool", lambda: (spool.parent / "other/lab.json").read_text())
attempt("read the spool", lambda: (spool / "lab.json").read_text())
attempt("write a result", lambda: (spool / "results/ada.json").write_text("x"))
attempt("write the lab", lambda: (spool / "lab.json").write_text("x"))
attempt("replace the rounds", lambda: (spool / "rounds").rename(spool / "results/rounds"))
attempt("write the course", lambda: (clone / "planted").write_text("x"))
attempt("reach the network", lambda: socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 2).close())
found["sees processes"] = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
found["interfaces"] = [name for _, name in socket.if_nameindex()]
found["root"] = os.listdir("/root")
print(json.dumps(found))
"""


def test_a_worker_of_root_has_the_spool_and_nothing_else(place: Path) -> None:
    course, spool, home = place / "class", place / "state/grading/b", place / "home"
    for folder in (course, home, spool / "results", spool / "rounds"):
        folder.mkdir(parents=True)
    course.chmod(0o755)  # even where the class is open to all
    (course / "settings.toml").write_text("marks")
    (home / "secret").write_text("secret")
    (home / "secret").chmod(0o600)
    (spool / "lab.json").write_text("lab")
    (spool.parent / "other").mkdir()
    (spool.parent / "other/lab.json").write_text("another batch")
    account = local_worker.account_of("11111111-2222-3333-4444-555555555555")
    os.chown(spool, 0, account)
    os.chown(spool / "lab.json", 0, account)
    os.chown(spool / "results", account, account)
    spool.chmod(0o750)
    (spool / "lab.json").chmod(0o640)
    with subprocess.Popen(
        [sys.executable, "-c", "import socket; s = socket.create_server(('127.0.0.1', 0)); "
         "print(s.getsockname()[1], flush=True); s.accept()"],
        stdout=subprocess.PIPE,
        text=True,
    ) as listener:  # fmt: skip
        assert listener.stdout
        port = listener.stdout.readline().strip()
        clone = layout.clone_folder()
        config = WorkerConfig(
            parent=os.getpid(),
            argv=(sys.executable, "-I", "-c", TRIES, *map(str, (spool, course, home, clone))),
            env={"PATH": os.defpath, "PORT": port},
            account=account,
            shown=tuple(map(str, (clone, Path(sys.prefix), Path(sys.base_prefix), spool))),
            covered=(str(place / "state"),),
            hidden=(str(course),),
        )
        words = [sys.executable, "-I", "-m", local_worker.__name__, msgspec.json.encode(config).decode()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        listener.kill()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("read the spool") == "lab"
    assert found.pop("write a result") == 1
    assert found.pop("sees processes") == [1]
    assert found.pop("interfaces") == ["lo"]
    assert found.pop("root") == []
    assert set(found.values()) <= {
        *("FileNotFoundError", "PermissionError", "ConnectionRefusedError", "OSError")
    }, found
    assert not (clone / "planted").exists()
    assert (spool / "lab.json").read_text() == "lab"
    assert (spool / "results/ada.json").stat().st_uid == account


def test_a_worker_ends_with_the_command_and_says_how_its_program_ended(place: Path) -> None:
    config = WorkerConfig(
        parent=os.getpid(),
        argv=(sys.executable, "-c", "import sys; sys.exit(3)"),
        env={"PATH": os.defpath},
        account=local_worker.ACCOUNTS[0],
        shown=(sys.prefix, sys.base_prefix),
    )
    words = [sys.executable, "-I", "-m", local_worker.__name__, msgspec.json.encode(config).decode()]
    assert subprocess.run(words, timeout=60, check=False).returncode == 3
    orphan = msgspec.structs.replace(config, parent=1)
    words[-1] = msgspec.json.encode(orphan).decode()
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "the command ended before its worker began" in done.stderr


def test_two_workers_have_no_id_in_common_but_the_batchs(place: Path) -> None:
    config = WorkerConfig(
        parent=os.getpid(),
        argv=(sys.executable, "-c", "print(open('/proc/self/uid_map').read(), flush=True); input()"),
        env={"PATH": os.defpath},
        account=local_worker.ACCOUNTS[0],
        shown=(sys.prefix, sys.base_prefix),
    )
    words = [sys.executable, "-I", "-m", local_worker.__name__, msgspec.json.encode(config).decode()]
    workers = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    maps = []
    for worker in workers:
        assert worker.stdout
        maps.append([[int(word) for word in worker.stdout.readline().split()] for _ in range(2)])
    for worker in workers:
        worker.communicate("\n", timeout=60)
    (one, first), (other, second) = maps
    assert one == other == [0, local_worker.ACCOUNTS[0], 1]
    assert first[1] + first[2] <= second[1] or second[1] + second[2] <= first[1]
