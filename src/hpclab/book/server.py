"""Serve the built book on a local port."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hpclab.errors import UsageError


class QuietHandler(SimpleHTTPRequestHandler):
    """A file server that does not log requests."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve ``folder`` on 127.0.0.1 during the block, and yield the URL. Port 0: any free port. Raises UsageError."""
    try:
        server = ThreadingHTTPServer(
            ("127.0.0.1", port), functools.partial(QuietHandler, directory=str(folder))
        )
    except OSError as problem:
        raise UsageError(
            f"cannot listen on port {port}: {problem.strerror}", "Choose another port: --port NUMBER"
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wait_for_interrupt() -> None:
    """Wait for Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
