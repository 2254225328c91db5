"""Trainings of templates/train_resumable.py as real processes, each started in a fraction of a second."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
# 12 steps of 3 epochs, and saves after 5, 10 and 12: in the middle of an epoch, and at its end.
SMALL = ("--epochs=3", "--samples=384", "--batch=96", "--width=16", "--save-every=5")
PATIENCE = 250.0  # seconds for one run of a training on a busy machine; less than pytest has for a test
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Nursery:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("SLURM_")} | QUIET,
        )

    def ask(self, **order: Any) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@dataclass
class Training:
    """One run: a folder, and the command that is repeated in it."""

    nursery: Nursery
    folder: Path
    ranks: int = 1
    words: tuple[str, ...] = SMALL
    pids: list[int] = field(default_factory=list)

    def start(self, prepare: str = "", ranks: int = 0, words: tuple[str, ...] = ()) -> Training:
        """Begin an attempt; ``prepare`` is Python that each rank runs first (``rank`` and ``train`` are there)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pids = self.nursery.ask(
            ranks=ranks or self.ranks,
            words=[*self.words, *words],
            folder=str(self.folder),
            prepare=prepare,
        )["pids"]
        return self

    def end(self) -> list[int]:
        """The exit codes, when all ranks have ended."""
        codes = self.nursery.ask(wait=self.pids, seconds=PATIENCE)["codes"]
        assert None not in codes, f"ranks still run: {codes}\n{self.log()}"
        return list(codes)

    def run(self, prepare: str = "", ranks: int = 0, words: tuple[str, ...] = ()) -> list[int]:
        return self.start(prepare, ranks, words).end()

    def finish(self, **more: Any) -> dict[str, Any]:
        """Run the command once more, to the end; the result."""
        codes = self.run(**more)
        assert set(codes) == {0}, f"exit codes {codes}\n{self.log()}"
        return self.result

    def signal(self, number: signal.Signals, rank: int = 0) -> None:
        os.kill(self.pids[rank], number)

    def until_step(self, step: int) -> None:
        """Wait until some rank noted ``step`` or a later one, or a rank ended."""
        deadline = time.monotonic() + PATIENCE
        while not any(line["step"] >= step for line in self.lines("losses.jsonl")):
            assert time.monotonic() < deadline, f"step {step} was never reached\n{self.log()}"
            time.sleep(0.01)

    def until_there(self, name: str) -> None:
        """Wait until a file of this name is in the training's folder."""
        deadline = time.monotonic() + PATIENCE
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, f"{name} never came\n{self.log()}"
            time.sleep(0.01)

    def lines(self, name: str) -> list[dict[str, Any]]:
        path = self.checkpoints / name
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def events(self, *wanted: str) -> list[tuple[str, int]]:
        return [
            (line["event"], line["step"]) for line in self.lines("goodput.jsonl") if line["event"] in wanted
        ]

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def latest(self) -> Path:
        return self.checkpoints / (self.checkpoints / "latest").read_text().strip()

    @property
    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return found

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def training(nursery: Nursery, tmp_path: Path) -> Iterator[Training]:
    made = Training(nursery, tmp_path / "run")
    yield made
    for pid in made.pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def undisturbed(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """The result of a run that was not interrupted, made once for each kind."""
    made: dict[Any, dict[str, Any]] = {}

    def of(ranks: int = 1, *more: str, words: tuple[str, ...] = SMALL) -> dict[str, Any]:
        key = (ranks, more, words)
        if key not in made:
            folder = tmp_path_factory.mktemp("undisturbed")
            made[key] = Training(nursery, folder, ranks, (*words, *more)).finish()
        return made[key]

    return of


def same(result: dict[str, Any], other: dict[str, Any]) -> None:
    """The same run, bit for bit."""
    assert result["history"] == other["history"]
    assert result["weights"] == other["weights"]


@pytest.fixture(scope="session")
def module() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a file of templates/ by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TEMPLATES))
        yield importlib.import_module
        for path in TEMPLATES.glob("*.py"):
            sys.modules.pop(path.stem, None)
