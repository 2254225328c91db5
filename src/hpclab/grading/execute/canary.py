"""Probes that try to escape from a sandbox, run before anything is marked.

Each kind of sandbox runs the same list. Every probe does what hostile code would do, and reports the outcome.
Some look for bait that the client prepares: a file, sockets, a process. The last ones exhaust limited resources.
If any probe succeeds, nothing may be marked: ``escaped`` says which, in words for the instructor.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from hpclab.errors import GradingError
from hpclab.grading.execute import protocol
from hpclab.grading.execute.interface import Ended, Enter, Sandbox
from hpclab.grading.execute.probes import AFTER, ALONE, LIMITED, PRELUDE, PROBES, Limited
from hpclab.grading.execute.runner_log import RunnerLog
from hpclab.grading.model import Lab, Limits
from hpclab.sandbox.termination import Termination

# Small, so that breaking them is fast. A cluster has its own.
LIMITS = Limits(
    seconds=20.0,
    job_wait_seconds=0.0,
    test_seconds=10.0,
    memory_mib=192,
    processes=24,
    disk_mib=8,
    inodes=400,
    output_mib=1,
)
MOST_TRIED_MIB = 2048  # of memory that a probe uses on purpose


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one probe: ``held`` where the sandbox confined it."""

    probe: str
    held: bool
    detail: str = ""


def probe(
    enter: Enter, lab: Lab, limits: Limits = LIMITS, hidden: Sequence[Path] = (), *, alone: bool = True
) -> list[Probed]:
    """Run every probe in sandboxes for ``lab``.

    ``hidden`` are the instructor's files and folders that no learner may see. With ``alone`` one more sandbox is
    made at the end, to check that it has no traces of the others.
    """
    slow = [one for one in LIMITED if one.seconds]
    quick = [one for one in LIMITED if one not in slow and _sensible(one, limits)]

    def beside() -> list[Probed]:
        with enter(lab, limits) as sandbox:
            return [_limited(sandbox, limits, one) for one in slow]

    with bait(hidden) as laid, ThreadPoolExecutor(1, "probes") as pool:
        # A probe that waits for a time limit leaves the CPU to the other probes; but don't run two clusters
        # at once.
        waiting = None if lab.nodes else pool.submit(beside)
        with enter(lab, limits) as sandbox:
            found = _cells(sandbox, limits, laid, PROBES)
            found += [_limited(sandbox, limits, one) for one in (*quick, *(slow if lab.nodes else ()))]
            sandbox.stop_learner(limits)
            found.append(_survives(sandbox))
        if waiting:
            found += waiting.result()
        if alone:
            with enter(lab, limits) as sandbox:
                found += _cells(sandbox, limits, laid, ALONE)
    return found


def escaped(found: Sequence[Probed]) -> list[Probed]:
    return [one for one in found if not one.held]


def refuse(found: Sequence[Probed]) -> None:
    """Raise GradingError, naming the probes that escaped, unless all were confined."""
    if out := escaped(found):
        listed = "\n".join(f"    {one.probe}: {one.detail}" for one in out)
        raise GradingError(
            f"nothing is marked: {len(out)} of {len(found)} probes got through the walls of the sandbox here\n{listed}",
            "A submission could do the same. `hpclab doctor` says what this machine lacks; another machine may have it.",
        )


# ---- bait ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def bait(hidden: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Create objects outside that a probe could find if it escaped; yields where they are, and the secret in them."""
    word = f"canary-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hpclab-")))
        folder.chmod(0o755)
        file = folder / "secret"
        file.write_text(word)
        file.chmod(0o644)
        ports = [_listening(stack, family, address) for family, address in TCP]
        unix = [
            _listening(stack, socket.AF_UNIX, address) for address in (f"\0{word}", str(folder / "socket"))
        ]
        process = stack.enter_context(
            subprocess.Popen(
                ["sh", "-c", "read never", word], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
        )
        if process.stdin:
            stack.callback(process.stdin.close)
        yield {
            "word": word,
            "files": [str(file), *(str(path) for path in hidden)],
            "ports": [port for port in ports if port],
            "unix": [name for name in unix if name],
            "pid": os.getpid(),
        }


TCP = ((socket.AF_INET, ("0.0.0.0", 0)), (socket.AF_INET6, ("::", 0)))


def _listening(stack: contextlib.ExitStack, family: int, address: Any) -> Any:
    """Listen at ``address``; returns the port or the Unix socket's name, None where this machine lacks the family."""
    try:
        server = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind(address)
        server.listen()
    except OSError:
        return None
    return address if family == socket.AF_UNIX else server.getsockname()[1]


# ---- running the probes -------------------------------------------------------------------------


def _cells(sandbox: Sandbox, limits: Limits, laid: dict[str, Any], probes: dict[str, str]) -> list[Probed]:
    """Run each probe as a cell; its outcome is the last line that it prints."""
    about = {**laid, "disk_mib": limits.disk_mib, "inodes": limits.inodes}
    cells = [{"id": "prelude", "source": f"BAIT = {about!r}\n{PRELUDE}"}]
    cells += [{"id": name, "source": source} for name, source in probes.items()]
    log, ended = _run(sandbox, cells, limits)
    found = []
    for name in probes:
        printed = _printed_text(log, name)
        try:
            said = json.loads(printed.splitlines()[-1])
            found.append(Probed(probe=name, held=said["held"] is True, detail=str(said["detail"])[:500]))
        except (ValueError, LookupError, TypeError):
            said = log.forged or printed[-300:] or str(ended)[-500:]
            found.append(Probed(probe=name, held=False, detail=f"it did not come to an end: {said}"))
    return found


def _run(sandbox: Sandbox, cells: list[dict[str, str]], limits: Limits) -> tuple[RunnerLog, Ended]:
    nonce = protocol.new_nonce()
    log = RunnerLog([cell["id"] for cell in cells], nonce)
    request = protocol.cells_request(
        cells, nonce=nonce, seconds=limits.seconds, output_bytes=limits.output_mib << 20
    )
    return log, sandbox.run_cells(request, log, limits)


def _printed_text(log: RunnerLog, cell: str) -> str:
    outputs: list[dict[str, Any]] = json.loads(bytes(log.outputs.get(cell, b"[]")))
    return "".join(str(output.get("text", "")) for output in outputs)


def _sensible(one: Limited, limits: Limits) -> bool:
    return one.limit != Termination.MEMORY or limits.memory_mib <= MOST_TRIED_MIB


def _limited(sandbox: Sandbox, limits: Limits, one: Limited) -> Probed:
    """Break a limit on purpose; the sandbox must report it, or the program must have been refused."""
    bounds = msgspec.structs.replace(limits, seconds=one.seconds or limits.seconds)
    about = {"memory_mib": limits.memory_mib, "processes": limits.processes, "output_mib": limits.output_mib}
    log, ended = _run(sandbox, [{"id": "break", "source": f"BAIT = {about!r}\n{one.source}"}], bounds)
    printed = _printed_text(log, "break")
    held = ended.termination == one.limit or one.refused in printed.splitlines()[-1:]
    detail = f"ended {ended.termination}, status {ended.status}, signal {ended.signal}; {printed[-200:]}"
    return Probed(probe=one.name, held=held, detail="" if held else detail)


def _survives(sandbox: Sandbox) -> Probed:
    """Check whether a daemon left by a probe keeps running after all of the learner's processes are stopped."""
    lines: list[Any] = []

    def line(said: bytes) -> bytes | None:
        lines.append(json.loads(said))
        return None

    request = {"tests": [{"id": "after", "source": AFTER}], "seconds": 10, "learner": "learner"}
    sandbox.run_tests(json.dumps(request).encode() + b"\n", line, 30.0)
    held = [one.get("status") for one in lines[:1]] == ["passed"]
    return Probed(probe="outlive the stop", held=held, detail="" if held else str(lines)[:500])
