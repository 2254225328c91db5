"""IPython in this process, behaving as it does in a notebook; its outputs are kept.

Magics, ``!commands``, ``await`` at top level, ``display`` and matplotlib figures work. ``exit()`` and
``sys.exit()`` end a cell, not the run. One difference from a notebook's shell: ``!command`` has
no terminal, so programs print as they would into a file.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.profiledir import ProfileDir
from traitlets.config import Config

from hpclab.grading.execute.outputs import Kept, bundle, clean


class _Values(DisplayHook):
    """Keeps the value of a cell's last line."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        shell: Any = self.shell
        shell.show({"output_type": "execute_result", "execution_count": self.prompt_count}, format_dict)

    def log_output(self, format_dict: Any) -> None:
        pass

    def finish_displayhook(self) -> None:
        self._is_active = False


class _Forms(DisplayFormatter):
    """Renders an object in each format, unless there is no space to keep the result."""

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Any:
        shell: Any = self.parent
        if shell.kept.closed:
            shell.kept.over = True
            return {}, {}
        return super().format(obj, include, exclude)  # type: ignore[no-untyped-call]


class _Shown(DisplayPublisher):
    """Keeps what display() shows."""

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        shell: Any = self.shell
        name = transient.get("display_id") if isinstance(transient, dict) else None
        if update and isinstance(name, str):
            shell.kept.again(name, bundle(data))
            return
        output = shell.show({"output_type": "display_data"}, data)
        if isinstance(name, str):
            shell.kept.named(name, output)

    def clear_output(self, wait: bool = False) -> None:
        shell: Any = self.shell
        shell.flush_pending()
        shell.kept.clear()


class Shell(InteractiveShell):
    """The interpreter of one run. ``kept`` and ``drain`` are set before the first cell."""

    displayhook_class = _Values
    display_pub_class = _Shown
    kept = Kept(0)
    drain: Callable[[], None]

    def init_history(self) -> None:
        super().init_history()  # type: ignore[no-untyped-call]
        if self.history_manager:
            self.history_manager.enabled = False

    def init_display_formatter(self) -> None:
        self.display_formatter = _Forms(parent=self)
        self.configurables.append(self.display_formatter)  # type: ignore[arg-type]

    def enable_gui(self, gui: Any = None) -> None:
        """Do nothing: ``%matplotlib inline`` and similar ask for a GUI event loop, and there is none."""

    def ask_exit(self) -> None:
        """Do nothing when a cell calls exit(): the rest of the notebook runs, as in Jupyter."""

    def system(self, cmd: str) -> None:
        """Run ``!cmd``. Names in braces are looked up in the cell's scope."""
        line = self.var_expand(cmd, depth=1)  # type: ignore[no-untyped-call]
        self.flush_pending()
        status = subprocess.call(["/bin/bash", "-c", line])
        self.user_ns["_exit_code"] = status if status <= 128 else 128 - status

    def _tee(self, channel: str) -> Any:
        """Return a no-op: IPython 9 would keep all printed text a second time, without a limit."""
        return contextlib.nullcontext()

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        self.flush_pending()
        with contextlib.suppress(Exception):  # an untrusted exception can raise when it is formatted
            self.kept.add(
                {
                    "output_type": "error",
                    "ename": clean(etype.__name__),
                    "evalue": clean(str(evalue))[:10_000],
                    "traceback": [clean(line) for line in stb],
                }
            )

    def show(self, output: dict[str, Any], data: Any) -> dict[str, Any] | None:
        """Keep one rich output, after everything that was printed before it."""
        self.flush_pending()
        return self.kept.add({**output, "data": bundle(data), "metadata": {}})

    def flush_pending(self) -> None:
        """Flush all that was printed so far."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # a cell may have replaced the streams
                stream.flush()
        self.drain()


def make() -> Shell:
    """Create the shell, once per process. May be called before a fork."""
    settings = Config()
    settings.HistoryManager.enabled = False
    settings.HistoryManager.hist_file = ":memory:"
    settings.InteractiveShell.colors = "nocolor"
    settings.InteractiveShell.cache_size = 1000
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    with tempfile.TemporaryDirectory() as folder:  # required; a home's start-up files are not run
        place = ProfileDir.create_profile_dir(folder)  # type: ignore[no-untyped-call]
        shell = Shell.instance(config=settings, profile_dir=place, ipython_dir=folder)
    assert isinstance(shell, Shell)
    shell.show_rewritten_input = False
    return shell


def flush_c() -> None:
    """Flush the buffers of libraries written in C."""
    ctypes.CDLL(None).fflush(None)
