"""Call a function that the learner wrote; arguments and results travel as JSON, never as Python objects.

    spread = evidence.function("spread") result = spread([9, 3, 5]) evidence.check(type(result) is int and result
    == 6, f"spread([9, 3, 5]) is {result!r}", "the whole number 6")

In the learner's notebook the function is called directly. A grader runs the notebook's cells again in a new
sandbox, calls the function there, and compares the result outside. Either way a test sees plain values: numbers,
strings, booleans, None, lists, and dicts with string keys.

    result = evidence.replay(PROGRAM, evidence.text("state.py"), 37, given=["run.py"])

runs a program of the test on files that the learner left, for example with an interruption that the learner
has not seen.
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
from json import dumps, loads  # bound here, because the learner's code may replace them in the json module
from pathlib import Path
from typing import Any, NoReturn

from hpclab.evidence.checks import CheckFailed, NoAnswer

Ask = Callable[[dict[str, Any]], Any]
MAX_QUESTION_BYTES = 900_000
REPLAY = "replay"
REPLAY_TIMEOUT_S = 180.0  # the grader's limit
# Name of a replay's folder in the learner's notebook. Jobs submitted from it do not count as the learner's.
REPLAY_PREFIX = ".replay-"
# Runs a replay in the learner's notebook; program, arguments and reply pass through stdin and stdout.
REPLAY_PROGRAM = """
import json, os, sys
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
source, arguments = json.load(sys.stdin)
sys.path.insert(0, "")
exec(compile(source, "<replay>", "exec"), globals())
json.dump(replay(*arguments), out)
"""
PLAIN_VALUES = "numbers, strings, True or False, None, and lists and dicts of them"
# The grader's reasons for a missing reply, and their text for the learner.
NO_REPLY = {
    "timeout": "does not finish within the time limit",
    "memory": "uses more memory than allowed",
    "processes": "starts more processes than allowed",
    "output": "writes more than allowed",
    "disk": "writes more than allowed",
    "crash": "ends the program",
}
_route: list[Ask] = []


class Raised(CheckFailed):
    """The learner's function raised an exception: ``kind`` is its class name, ``text`` its message."""

    def __init__(self, call: str, kind: str, text: str) -> None:
        error = f"{kind}: {text}" if text else kind
        super().__init__(f"{call} raises {error}", "a result", f"{call}, in a cell of your own")
        self.kind, self.text = kind, text


class Function:
    """A proxy for a function of the learner. A grader runs the notebook's cells once for each call, or once for ``each``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: Any) -> Any:
        return self.each([arguments])[0]

    def each(self, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the results for a list of argument lists. Raises CheckFailed at the first call without a result."""
        plain = loads(dumps([list(arguments) for arguments in calls], allow_nan=False))
        replies = _ask(self.name, plain)
        return [self._result(arguments, reply) for arguments, reply in zip(plain, replies, strict=True)]

    def _result(self, arguments: list[Any], reply: Any) -> Any:
        call = format_call(self.name, arguments)
        match reply:
            case {"value": value}:
                return value
            case {"raised": str(kind), "text": str(text)}:
                raise Raised(call, kind[:100], text[:300])
            case {"missing": True}:
                found, expected = f"no function {self.name!r}", "a function of that name in the notebook"
            case {"wrong": str(what)}:
                found, expected = f"{call} returns {what[:200]}", f"plain values: {PLAIN_VALUES}"
            case {"none": str(why)} if why in NO_REPLY:
                found, expected = f"{call} {NO_REPLY[why]}", "a result"
            case _:
                found, expected = f"{call} gives no readable result", "a result"
        raise CheckFailed(found, expected, f"{call}, in a cell of your own")


def function(name: str) -> Function:
    """Return a proxy for the learner's function ``name``; call it with plain values."""
    return Function(name)


def replay(source: str, *arguments: Any, given: Sequence[str] = ()) -> Any:
    """Run ``replay(*arguments)``, a function that ``source`` defines, in a separate folder and return its result.

    The folder has copies of the files ``given`` as the lab's own ``%%writefile`` cells write them, without the
    learner's changes; anything else comes as an argument. A grader uses a new sandbox in which the notebook's cells
    do not run. Raises CheckFailed where there is no result.
    """
    plain = loads(dumps([list(arguments)], allow_nan=False))
    if _route:
        [reply] = _ask(REPLAY, plain, source=source, given=list(given))
    else:
        reply = _replay_locally(source, plain[0], given)
    match reply:
        case {"value": value}:
            return value
        case {"raised": str(kind), "text": str(text)}:
            found = f"a second run ends with {kind[:100]}: {text[:300]}"
        case {"none": str(why)} if why in NO_REPLY:
            found = f"a second run {NO_REPLY[why]}"
        case _:
            found = "a second run gives no readable result"
    raise CheckFailed(found, "a run that finishes every time")


def route_questions(ask: Ask) -> None:
    """Send all further calls to ``ask`` instead of this process's own notebook. The grader uses it."""
    _route[:] = [ask]


def answer_calls(name: str, calls: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Call the function in this process's notebook and return the replies. Runs the learner's code."""
    return [_answer_call(name, list(arguments)) for arguments in calls]


def format_call(name: str, arguments: Sequence[Any]) -> str:
    """Return a call as Python source, with long arguments shortened."""
    texts = [text if len(text := repr(argument)) <= 60 else f"{text[:57]}..." for argument in arguments]
    return f"{name}({', '.join(texts)})"


def _answer_call(name: str, arguments: list[Any]) -> dict[str, Any]:
    function = vars(sys.modules["__main__"]).get(name)
    if not callable(function):
        return {"missing": True}
    try:
        value = function(*arguments)
    except Exception as problem:
        return {"raised": type(problem).__name__, "text": _error_text(problem)}
    try:
        return {"value": loads(dumps(value, allow_nan=False))}
    except Exception:  # an untrusted object may raise anything when it is inspected
        return {"wrong": _describe_value(value)}


def _error_text(problem: Exception) -> str:
    try:
        return str(problem)[:300].encode(errors="replace").decode()
    except Exception:
        return ""


def _describe_value(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, float):
        return f"{value}, which is not a number"
    if isinstance(value, list | tuple | dict):
        return f"a {kind} with something in it that is not a plain value"
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _replay_locally(source: str, arguments: list[Any], given: Sequence[str]) -> Any:
    """Run a replay in the learner's notebook: in a new process and in a temporary folder."""
    # Below this folder, because a replay may submit jobs and the nodes may not share /tmp.
    with tempfile.TemporaryDirectory(prefix=REPLAY_PREFIX, dir=".", ignore_cleanup_errors=True) as folder:
        for name in given:
            shutil.copy(name, Path(folder) / Path(name).name)
        with subprocess.Popen(
            [sys.executable, "-c", REPLAY_PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            start_new_session=True,
        ) as program:
            try:
                reply, errors = program.communicate(dumps([source, arguments]), timeout=REPLAY_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                return {"none": "timeout"}
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)  # and whatever it started
    if program.returncode:
        kind, _, text = (errors.strip().splitlines() or ["no message"])[-1].partition(": ")
        return {"raised": kind, "text": text}
    return {"value": loads(reply, parse_constant=_reject_constant)}


def _ask(name: str, calls: list[list[Any]], **more: Any) -> list[Any]:
    """Return one reply for each call, from the notebook or through ``_route``; ``more`` is added to the question."""
    if not _route:
        return list(answer_calls(name, calls))
    nonce = secrets.token_hex(16)
    question = {"function": name, "calls": calls, "nonce": nonce, **more}
    if len(dumps(question)) > MAX_QUESTION_BYTES:  # the arguments may come from the learner's files
        raise CheckFailed(f"more than {MAX_QUESTION_BYTES} bytes of arguments", "smaller files")
    match _route[0](question):
        case {"none": str(why)}:
            return [{"none": why}] * len(calls)
        case {"trouble": str(problem)}:
            raise NoAnswer(f"the function could not be called: {problem}")
        case {"line": str(line)}:
            return _parse_replies(line, nonce, len(calls))
    return [None] * len(calls)


def _parse_replies(line: str, nonce: str, count: int) -> list[Any]:
    """Parse what the learner's program wrote: ``count`` replies with this question's nonce, or ``count`` times None."""
    try:
        message = loads(line, parse_constant=_reject_constant)
    except (ValueError, RecursionError, MemoryError):
        message = None
    match message:
        case {"nonce": str(sent), "replies": list(replies)} if sent == nonce and len(replies) == count:
            # Only the grader may say why a reply is missing.
            return [None if isinstance(reply, dict) and "none" in reply else reply for reply in replies]
    return [None] * count


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
