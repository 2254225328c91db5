"""A sandbox that keeps nothing in: the two programs as plain processes in a folder. For tests of what is around it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hpclab.grading.execute import protocol
from hpclab.grading.execute.interface import Answer, Ended
from hpclab.grading.model import Lab, Limits
from hpclab.sandbox.termination import Termination


class Fake:
    """One submission's folder. Whatever is in ``broken`` raises when its step comes."""

    def __init__(self, top: Path, lab: Lab, broken: dict[str, Exception]) -> None:
        self._lab = lab
        self.top, self.place, self.broken = top, top / lab.module / lab.name, broken
        self.steps: list[str] = []

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.broken:
            raise self.broken.pop(name)

    def put(self, files: Mapping[str, bytes]) -> None:
        self._step("put")
        for path, data in files.items():
            (self.top / path).parent.mkdir(parents=True, exist_ok=True)
            (self.top / path).write_bytes(data)

    def run_cells(self, request: bytes, line: Callable[[bytes], None], limits: Limits) -> Ended:
        self._step("run_cells")
        return self._run("hpclab.grading.execute.runner", request, line, limits.seconds + 20)

    def stop_learner(self, limits: Limits) -> str:
        self._step("stop_learner")
        return ""

    def run_tests(self, request: bytes, line: Callable[[bytes], bytes | None], seconds: float) -> Ended:
        self._step("run_tests")
        return self._run("hpclab.grading.assess.test_runner", request, line, seconds)

    def ask_program(self, request: bytes, limits: Limits, files: Mapping[str, bytes] | None = None) -> Answer:
        self._step("ask_program")
        heard: list[bytes] = []
        asked = self
        if files is not None:
            asked = Fake(self.top / "asked", self._lab, {})
            asked.place.mkdir(parents=True)
            asked.put(files)
        asked._run("hpclab.grading.execute.runner", request, heard.append, limits.seconds)
        return Answer(line=heard[-1]) if heard else Answer(none=Termination.CRASH)

    def _run(
        self, module: str, request: bytes, line: Callable[[bytes], bytes | None], seconds: float
    ) -> Ended:
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-I", "-m", module],
            cwd=self.place,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdin and process.stdout and process.stderr
            process.stdin.write(request)
            if module == "hpclab.grading.execute.runner":
                process.stdin.close()
            else:
                process.stdin.flush()
            for said in process.stdout:
                if reply := line(said):
                    process.stdin.write(reply)
                    process.stdin.flush()
            errors = process.stderr.read().decode(errors="replace")
            status = process.wait(seconds)
        took = time.monotonic() - began
        return protocol.ended(status, limit=None, seconds=took, errors=errors)


class Place:
    """What gives sandboxes: ``entered`` has all of them."""

    def __init__(self, folder: Path, **broken: Exception) -> None:
        self.folder, self.broken = folder, dict(broken)
        self.entered: list[Fake] = []

    @contextmanager
    def enter(self, lab: Lab, limits: Limits) -> Iterator[Fake]:
        top = self.folder / str(len(self.entered))
        (top / lab.module / lab.name).mkdir(parents=True)
        self.entered.append(Fake(top, lab, self.broken))
        if "enter" in self.broken:
            raise self.broken.pop("enter")
        yield self.entered[-1]
