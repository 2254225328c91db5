"""A function that the learner wrote, asked questions: arguments and replies travel as JSON, never as objects.

    spread = evidence.function("spread")
    found = spread([9, 3, 5])
    evidence.check(type(found) is int and found == 6, f"spread([9, 3, 5]) is {found!r}", "the whole number 6")

In the learner's notebook the function is the notebook's own. Where a grader asks, the notebook's cells run
again in a new sandbox, the question is put there, and the reply is compared outside. Either way a
test sees plain values: numbers, texts, true and false, None, lists, and dicts whose names are texts.

    found = evidence.replay(PROGRAM, evidence.text("state.py"), 37, given=["run.py"])

runs a program of the test's own on what the learner left: with an interruption, say, that the learner did not see.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from json import dumps, loads  # by their names here: a learner may have put something else into json
from pathlib import Path
from typing import Any, NoReturn

from hpclab.evidence.checks import CheckFailed, NoAnswer

Ask = Callable[[dict[str, Any]], Any]
QUESTION_BYTES = 900_000
REPLAY = "replay"
REPLAY_SECONDS = 180.0  # as much as a grader gives
FOLDERS = (
    ".replay-"  # where nobody grades, a replay's folder begins with this; its jobs are not the learner's
)
# Runs where nobody grades: the program, its arguments and the reply pass through stdin and stdout.
ALONE = """
import json, os, sys
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
source, arguments = json.load(sys.stdin)
sys.path.insert(0, "")
exec(compile(source, "<replay>", "exec"), globals())
json.dump(replay(*arguments), out)
"""
PLAIN = "numbers, texts, true or false, None, and lists and dicts of them"
# What a grader says where no reply came, and how that is told.
NONE = {
    "timeout": "gives no reply in its time",
    "memory": "takes more memory than there is",
    "processes": "starts more processes than there may be",
    "output": "writes more than there is room for",
    "disk": "writes more than there is room for",
    "crash": "ends the program",
}
_through: list[Ask] = []


class Raised(CheckFailed):
    """The function raised: ``kind`` is the exception's name, ``text`` what it said."""

    def __init__(self, call: str, kind: str, text: str) -> None:
        said = f"{kind}: {text}" if text else kind
        super().__init__(
            f"Found: {call} raises {said}.\nExpected: a result.\nLook: {call}, in a cell of your own"
        )
        self.kind, self.text = kind, text


class Function:
    """What ``function`` returns. Each call is one question; ``each`` puts many at once, to one run of the cells."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: Any) -> Any:
        return self.each([arguments])[0]

    def each(self, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """The results for a list of argument lists. Raises at the first call that has none."""
        plain = loads(dumps([list(arguments) for arguments in calls], allow_nan=False))
        replies = _asked(self.name, plain)
        return [self._result(arguments, reply) for arguments, reply in zip(plain, replies, strict=True)]

    def _result(self, arguments: list[Any], reply: Any) -> Any:
        call = shown(self.name, arguments)
        match reply:
            case {"value": value}:
                return value
            case {"raised": str(kind), "text": str(text)}:
                raise Raised(call, kind[:100], text[:300])
            case {"missing": True}:
                found, expected = f"no function {self.name!r}", "one of that name, defined in the notebook"
            case {"wrong": str(what)}:
                found, expected = f"{call} returns {what[:200]}", f"plain values: {PLAIN}"
            case {"none": str(why)} if why in NONE:
                found, expected = f"{call} {NONE[why]}", "a result"
            case _:
                found, expected = f"{call} gives no reply that can be read", "a result"
        raise CheckFailed(f"Found: {found}.\nExpected: {expected}.\nLook: {call}, in a cell of your own")


def function(name: str) -> Function:
    """The learner's function called ``name``, to be asked with plain values."""
    return Function(name)


def replay(source: str, *arguments: Any, given: Sequence[str] = ()) -> Any:
    """What ``replay(*arguments)``, a function that ``source`` defines, returns in a place of its own.

    The folder there has the files ``given``, which the lab itself writes by ``%%writefile``, in the lab's text and not
    in the learner's. Whatever else of the learner's it needs comes as an argument. A grader takes a new
    sandbox, and the notebook's cells do not run in it. Fails like a question to a function.
    """
    plain = loads(dumps([list(arguments)], allow_nan=False))
    if _through:
        [reply] = _asked(REPLAY, plain, source=source, given=list(given))
    else:
        reply = _alone(source, plain[0], given)
    match reply:
        case {"value": value}:
            return value
        case {"raised": str(kind), "text": str(text)}:
            found = f"a run of it once more ends with {kind[:100]}: {text[:300]}"
        case {"none": str(why)} if why in NONE:
            found = f"a run of it once more {NONE[why]}"
        case _:
            found = "a run of it once more gives no reply that can be read"
    raise CheckFailed(f"Found: {found}.\nExpected: that it comes to its end, on another day, too.")


def through(ask: Ask) -> None:
    """From now on put questions to ``ask`` instead of this process's own notebook: a grader's way."""
    _through[:] = [ask]


def answers(name: str, calls: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """The replies of the function in this process's notebook. Runs the learner's code."""
    return [_answer(name, list(arguments)) for arguments in calls]


def shown(name: str, arguments: Sequence[Any]) -> str:
    """A call as a person writes it, long arguments cut."""
    words = [text if len(text := repr(one)) <= 60 else f"{text[:57]}..." for one in arguments]
    return f"{name}({', '.join(words)})"


def _answer(name: str, arguments: list[Any]) -> dict[str, Any]:
    asked = vars(sys.modules["__main__"]).get(name)
    if not callable(asked):
        return {"missing": True}
    try:
        value = asked(*arguments)
    except Exception as problem:
        return {"raised": type(problem).__name__, "text": _said(problem)}
    try:
        return {"value": loads(dumps(value, allow_nan=False))}
    except Exception:  # whatever a stranger's object does when it is looked at
        return {"wrong": _kind(value)}


def _said(problem: Exception) -> str:
    try:
        return str(problem)[:300].encode(errors="replace").decode()
    except Exception:
        return ""


def _kind(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, float):
        return f"{value}, which is no number"
    if isinstance(value, list | tuple | dict):
        return f"a {kind} with something in it that is no plain value"
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _alone(source: str, arguments: list[Any], given: Sequence[str]) -> Any:
    """The reply of a replay where nobody grades: in a process of its own, in a folder that is gone afterwards."""
    # Below this folder: a replay may submit jobs, and a node need not see the /tmp of another.
    with tempfile.TemporaryDirectory(prefix=FOLDERS, dir=".", ignore_cleanup_errors=True) as folder:
        for name in given:
            shutil.copy(name, Path(folder) / Path(name).name)
        with subprocess.Popen(
            [sys.executable, "-c", ALONE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            start_new_session=True,
        ) as program:
            try:
                said, complaints = program.communicate(dumps([source, arguments]), timeout=REPLAY_SECONDS)
            except subprocess.TimeoutExpired:
                return {"none": "timeout"}
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)  # and whatever it started
    if program.returncode:
        kind, _, text = (complaints.strip().splitlines() or ["no word"])[-1].partition(": ")
        return {"raised": kind, "text": text}
    return {"value": loads(said, parse_constant=_refused)}


def _asked(name: str, calls: list[list[Any]], **more: Any) -> list[Any]:
    """One reply for each call, from wherever questions go; ``more`` goes with the question."""
    if not _through:
        return list(answers(name, calls))
    nonce = secrets.token_hex(16)
    question = {"function": name, "calls": calls, "nonce": nonce, **more}
    if len(dumps(question)) > QUESTION_BYTES:  # what a test passes on may be the learner's
        raise CheckFailed(f"Found: more than {QUESTION_BYTES} bytes in one question.\nExpected: small files.")
    match _through[0](question):
        case {"none": str(why)}:
            return [{"none": why}] * len(calls)
        case {"trouble": str(problem)}:
            raise NoAnswer(f"the question could not be put: {problem}")
        case {"line": str(line)}:
            return _replies(line, nonce, len(calls))
    return [None] * len(calls)


def _replies(line: str, nonce: str, count: int) -> list[Any]:
    """What the learner's program wrote: ``count`` replies with this question's sign, or none that can be read."""
    try:
        said = loads(line, parse_constant=_refused)
    except (ValueError, RecursionError, MemoryError):
        said = None
    match said:
        case {"nonce": str(sign), "replies": list(replies)} if sign == nonce and len(replies) == count:
            # Only a grader says why a reply is missing.
            return [None if isinstance(one, dict) and "none" in one else one for one in replies]
    return [None] * count


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
