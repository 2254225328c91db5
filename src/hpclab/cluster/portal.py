"""One web program of the learner on the login node, reachable at a loopback port of the host.

The program listens on a Unix socket in the cluster's folder; socat, a service beside the nodes, forwards the
host's port to it. The supervisor runs both.
"""

from __future__ import annotations

import secrets
import shlex
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hpclab import layout
from hpclab.cluster import entry, lifecycle
from hpclab.cluster.identity import Account
from hpclab.cluster.spec import LOGIN
from hpclab.errors import UsageError
from hpclab.shell import run, wait_until

SOCKET = "/run/hpclab/portal/socket"
PORTS = range(8888, 8988)


class Portal(msgspec.Struct, frozen=True):
    """The address of the program. ``token`` authenticates a browser."""

    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/lab?token={self.token}"


def known(name: str) -> Portal | None:
    """Return the portal of the running cluster ``name``, if one is open and answers."""
    try:
        found = msgspec.json.decode((_folder(name) / "portal.json").read_bytes(), type=Portal)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if lifecycle.running(name) and answers(found) else None


def choose_port(wanted: int | None) -> int:
    """Return ``wanted`` if it is free, or the first free port of PORTS. Raises UsageError."""
    for port in [wanted] if wanted else PORTS:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except PermissionError:
                raise UsageError(f"port {port} is for root alone", "Choose one from 1024 upwards.") from None
            except OSError:
                continue
            return port
    raise UsageError(
        f"port {wanted} of this machine is taken"
        if wanted
        else "ports 8888 to 8987 of this machine are all taken",
        "Choose another with --port N, or see what uses it: ss -ltnp",
    )


def serve(name: str, argv: Sequence[str], folder: Path, port: int, *, seconds: float = 60) -> Portal:
    """Start ``argv`` in ``folder`` as the learner; it must listen on SOCKET and honour JUPYTER_TOKEN.

    Raises DeadlineExceeded with the end of the program's log.
    """
    spec, supervisor = lifecycle.spec_of(name), lifecycle.supervisor_of(name)
    portal = Portal(port, secrets.token_urlsafe(24))
    script = _script(spec.identity.learner, argv, folder, portal)
    run(
        entry.into_controller(supervisor.pid, "sh", "-seu"), stdin=script, step="starting the notebook server"
    )
    wait_until(
        lambda: answers(portal),
        "the notebook server to answer",
        seconds=seconds,
        every=0.2,
        log=_folder(name) / "log/portal.out",
    )
    return portal


def close(name: str) -> None:
    """Stop the program and the forwarder; the cluster keeps running."""
    supervisor = lifecycle.supervisor_of(name)
    script = "".join(
        f"s6-svc -wd -T 10000 -d {scan}/portal\n"
        for scan in ("/run/hpclab/services", f"/run/hpclab/nodes/{LOGIN}")
    )
    run(entry.into_controller(supervisor.pid, "sh", "-su"), stdin=script, step="stopping the notebook server")


def answers(portal: Portal) -> bool:
    """Return whether the program answers at its port with its token."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{portal.port}/api/status", headers={"Authorization": f"token {portal.token}"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    try:
        with direct.open(asked, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _folder(name: str) -> Path:
    return layout.cluster_folder(name)


def _script(who: Account, argv: Sequence[str], folder: Path, portal: Portal) -> str:
    """Return shell commands, to be run by the cluster's root, that write and start both services."""
    program = (
        "#!/bin/sh\n"
        "exec >>/run/hpclab/log/portal.out 2>&1\n"
        f"export HOME={who.home} USER={who.name} LOGNAME={who.name} SHELL={who.shell} JUPYTER_TOKEN={portal.token}\n"
        f"rm -f {SOCKET}\n"
        f"exec setpriv --reuid {who.uid} --regid {who.gid} --init-groups --inh-caps=-all"
        f" /run/hpclab/bin/login-shell {shlex.join([str(folder), *argv])}\n"
    )
    carrier = (
        "#!/bin/sh\n"
        "exec >>/run/hpclab/log/portal.out 2>&1\n"
        # Run with the learner's rights: the learner owns the socket's folder, so the path may lead anywhere.
        f"exec setpriv --reuid {who.uid} --regid {who.gid} --clear-groups --inh-caps=-all"
        f" socat TCP-LISTEN:{portal.port},bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:{SOCKET}\n"
    )
    record = msgspec.json.encode(portal).decode()
    return f"""
umask 077
for scan in /run/hpclab/nodes/{LOGIN} /run/hpclab/services; do
    if s6-svok "$scan/portal"; then s6-svc -wd -T 10000 -d "$scan/portal"; fi
done
mkdir -p /run/hpclab/portal /run/hpclab/nodes/{LOGIN}/portal /run/hpclab/services/portal
chown {who.uid}:{who.gid} /run/hpclab/portal
printf %s {shlex.quote(program)} >/run/hpclab/nodes/{LOGIN}/portal/run
printf %s {shlex.quote(carrier)} >/run/hpclab/services/portal/run
chmod 700 /run/hpclab/nodes/{LOGIN}/portal/run /run/hpclab/services/portal/run
printf %s {shlex.quote(record)} >/run/hpclab/portal.json
chown {who.uid}:{who.gid} /run/hpclab/portal.json
for scan in /run/hpclab/nodes/{LOGIN} /run/hpclab/services; do
    s6-svscanctl -a "$scan"
    until s6-svok "$scan/portal"; do sleep 0.02; done
    s6-svc -u "$scan/portal"
done
"""
