"""Starts ranks of templates/train_resumable.py by fork, so that torch is imported once and not for each rank.

Reads one JSON object a line, starts what it describes, and answers with one line:

    {"ranks": 2, "words": ["--epochs=2"], "folder": "...", "prepare": "Python code run in each rank"}
    -> {"pids": [12, 13]}
    {"wait": [12, 13], "seconds": 60}
    -> {"codes": [0, -9]}

The ranks are processes like any other: they get signals, are killed, and their output is in ``folder``/log.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "templates"))

import torch._dynamo  # what the first DistributedDataParallel imports
import torch.distributed._functional_collectives  # noqa: F401
import train_resumable

alive: set[int] = set()  # ranks that nobody has waited for yet


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def start(order: dict[str, Any]) -> list[int]:
    port = free_port()
    pids = []
    for rank in range(order["ranks"]):
        pid = os.fork()
        if pid == 0:
            be_rank(rank, port, order)
        pids.append(pid)
        alive.add(pid)
    return pids


def be_rank(rank: int, port: int, order: dict[str, Any]) -> None:
    code = 1
    try:
        os.chdir(order["folder"])
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, opened in ((0, nothing), (1, log), (2, log)):
            os.dup2(opened, number)
        if order["ranks"] > 1:
            os.environ.update(
                TORCHELASTIC_RUN_ID="test",
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE=str(order["ranks"]),
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(port),
                GLOO_SOCKET_IFNAME="lo",
            )
        sys.argv = ["train_resumable.py", *order["words"]]
        train_resumable.stop = train_resumable.StopFlag()
        exec(order.get("prepare", ""), {"rank": rank, "train": train_resumable})
        train_resumable.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pids: list[int], seconds: float) -> list[int | None]:
    deadline = time.monotonic() + seconds
    codes: dict[int, int] = {}
    while len(codes) < len(pids) and time.monotonic() < deadline:
        for pid in pids:
            if pid not in codes:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    alive.discard(pid)
                    codes[pid] = os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return [codes.get(pid) for pid in pids]


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        answer = (
            {"codes": wait(order["wait"], order["seconds"])} if "wait" in order else {"pids": start(order)}
        )
        print(json.dumps(answer), flush=True)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
