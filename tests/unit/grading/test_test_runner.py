"""The test runner: each test runs alone, and the text of a hidden test is for the instructor only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpclab.grading.execute import protocol
from hpclab.grading.execute.interface import Answer
from hpclab.sandbox.termination import Termination

TRUSTED = [sys.executable, "-I", "-m", "hpclab.grading.assess.test_runner"]
CHECK = "from hpclab import evidence\n"


def judged(
    folder: Path, *tests: str, hidden: bool = False, seconds: float = 20.0, replies: str = ""
) -> list[Any]:
    """The lines about ``tests``, and whatever else came."""
    listed = [{"id": f"t{number}", "source": source, "hidden": hidden} for number, source in enumerate(tests)]
    request = json.dumps({"tests": listed, "seconds": seconds, "learner": "nobody"})
    done = subprocess.run(
        TRUSTED, input=f"{request}\n{replies}", capture_output=True, text=True, cwd=folder, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_test_has_a_status_and_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("7")
    said = judged(
        tmp_path,
        CHECK + "assert evidence.text('a.txt') == '7'\nprint('Passed: 2 of 2 points.')",
        CHECK + "evidence.check(False, 'x is 1.\\nTwo', '2', 'cat x')",
        CHECK + "evidence.json_of('a.txt', x=int)",
        "assert 1 == 2, 'not so'",
        "assert 1 == 2",
        "1 / 0",
        "import sys; sys.exit(0)",
        "x = 5",
        "x",
        "raise MemoryError",
        "while True: pass",
        seconds=3.0,
    )
    assert [line["test"] for line in said] == [f"t{number}" for number in range(11)]
    assert [line["status"] for line in said] == ["passed", *["failed"] * 6, "passed", *["failed"] * 3]
    assert said[0]["said"] == "Passed: 2 of 2 points."
    assert (said[1]["found"], said[1]["expected"], said[1]["look"]) == ("x is 1.\nTwo", "2", "cat x")
    assert said[2]["found"] == "a.txt holds a whole number"
    assert said[3]["said"] == "not so" and said[4]["said"]
    assert said[5]["said"] == "ZeroDivisionError: division by zero"
    assert said[8]["said"] == "NameError: name 'x' is not defined"
    assert "too large" in said[9]["said"] and "too long" in said[10]["said"]


@pytest.mark.parametrize(
    ("found", "expected", "look", "parts"),
    [
        ("two\nlines", "three\nlines", "", {"found": "two\nlines", "expected": "three\nlines"}),
        (
            "it printed 'a.\nExpected: b.\nLook: c'",
            "d.\nLook: e",
            "f",
            {"found": "it printed 'a.\nExpected: b.\nLook: c'", "expected": "d.\nLook: e", "look": "f"},
        ),
        ("x" * 10_000, "y", "z", {"found": "x" * 4000 + "…", "expected": "y", "look": "z"}),
        ("", "y", "", {"expected": "y"}),
        ("", "", "", {"said": "a check of this task failed"}),
        ("\ud800", "y", "", {"found": "?", "expected": "y"}),
    ],
)
def test_parts_of_a_failed_check_stay_apart(
    tmp_path: Path, found: str, expected: str, look: str, parts: dict[str, str]
) -> None:
    test = CHECK + f"evidence.check(False, {found!r}, {expected!r}, {look!r})"
    [line] = judged(tmp_path, test)
    assert line == {"test": "t0", "status": "failed", **parts}
    [line] = judged(tmp_path, test, hidden=True)
    assert line["private"] == {"status": "failed", **parts}
    assert line["said"] == "a hidden check of this task failed" and not line.keys() & {
        "found",
        "expected",
        "look",
    }


def test_missing_answer_is_not_a_failure(tmp_path: Path) -> None:
    said = judged(
        tmp_path,
        CHECK + "raise evidence.NoAnswer('Slurm is down', 'wait')",
        "from hpclab.errors import CommandFailed\nraise CommandFailed('sacct is not installed')",
        "import time\nwhile True: time.sleep(0.01)",
        "import time\ntry:\n    time.sleep(30)\nexcept Exception:\n    pass",
        seconds=1.0,
    )
    assert [line["status"] for line in said] == ["no_answer"] * 4
    assert "Slurm is down" in said[0]["said"] and "did not finish within 1 s" in said[2]["said"]


def test_text_of_a_hidden_test_is_private(tmp_path: Path) -> None:
    tests = [
        CHECK + "evidence.check(False, 'SECRET', 'SECRET', 'SECRET')",
        "assert 1 == 2, 'SECRET'",
        "SECRET",
    ]
    for line in judged(tmp_path, *tests, hidden=True):
        assert "SECRET" in json.dumps(line.pop("private"))
        assert "SECRET" not in json.dumps(line)
        assert line["said"] == "a hidden check of this task failed"
    [line] = judged(tmp_path, "print('SECRET')", hidden=True)
    assert line == {"test": "t0", "status": "passed"}


def test_nothing_in_the_folder_is_imported(tmp_path: Path) -> None:
    for name in ("json", "sitecustomize", "usercustomize", "hpclab", "numpy", "random"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')\nraise SystemExit")
    (tmp_path / "conftest.py").write_text("open('imported', 'w')")
    [line] = judged(tmp_path, CHECK + "import json, random\nassert evidence.text('conftest.py')")
    assert line["status"] == "passed"
    assert not (tmp_path / "imported").exists()


def test_printed_output_is_truncated(tmp_path: Path) -> None:
    [line] = judged(tmp_path, "import os\nprint('x' * 10**7)\nos.write(1, b'y' * 10**6)")
    assert line["status"] == "passed" and len(line["said"]) <= 4001


ASK = CHECK + "f = evidence.function('f')\n"


@pytest.mark.parametrize(
    ("reply", "status", "found"),
    [
        (
            protocol.answer_line(Answer(none=Termination.TIMEOUT)),
            "failed",
            "does not finish within the time limit",
        ),
        (protocol.trouble_line("no sandbox"), "no_answer", None),
        (protocol.answer_line(Answer(line=b"7" * 2_000_000)), "failed", "writes more than allowed"),
        *(
            (protocol.answer_line(Answer(line=line)), "failed", "gives no readable result")
            for line in (
                b'{"none": "timeout"}',  # only a grader says so
                b'{"trouble": "no sandbox"}',
                b'{"nonce": "wrong", "replies": [{"value": 6}]}',
                b"",
                b"\xff\x00",
                b"[" * 100_000,
                b"9" * 5000,
            )
        ),
    ],
)
def test_any_reply_is_read_as_data(tmp_path: Path, reply: bytes, status: str, found: str | None) -> None:
    asked, said = judged(tmp_path, ASK + "f(1)", replies=reply.decode())
    assert (
        asked["ask"]["function"] == "f"
        and asked["ask"]["calls"] == [[1]]
        and len(asked["ask"]["nonce"]) == 32
    )
    assert said["status"] == status and said.get("found") == (f"f(1) {found}" if found else None)


def test_replies_match_their_calls(tmp_path: Path) -> None:
    test = ASK + "assert f.each([[1], [2]]) == [6, 'x'] and type(f(3)) is int\n"
    listed = [{"id": "t", "source": test}]
    request = json.dumps({"tests": listed, "seconds": 20, "learner": "nobody"})
    trusted = subprocess.Popen(
        TRUSTED, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert trusted.stdin and trusted.stdout
    trusted.stdin.write(request + "\n")
    for replies in ([{"value": 6}, {"value": "x"}], [{"value": 7}]):
        trusted.stdin.flush()
        nonce = json.loads(trusted.stdout.readline())["ask"]["nonce"]
        line = json.dumps({"nonce": nonce, "replies": replies}).encode()
        trusted.stdin.write(protocol.answer_line(Answer(line=line)).decode())
    trusted.stdin.close()
    assert json.loads(trusted.stdout.readline())["status"] == "passed"
    trusted.stdout.close()
    assert trusted.wait(timeout=30) == 0
