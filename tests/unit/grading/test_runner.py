"""The runner: cells behave as in a notebook, and whatever they do, the lines that come out say what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpclab.grading.execute import protocol
from hpclab.grading.execute.runner_log import RunnerLog

RUNNER = [sys.executable, "-I", "-m", "hpclab.grading.execute.runner"]


class Ran:
    """What came of some cells. The cell number N has the id cN."""

    def __init__(self, folder: Path, *cells: str, seconds: float = 60.0, output_bytes: int = 1 << 20) -> None:
        named = [{"id": f"c{number}", "source": source, "kind": "own"} for number, source in enumerate(cells)]
        request = protocol.cells_request(named, nonce="sign", seconds=seconds, output_bytes=output_bytes)
        done = subprocess.run(RUNNER, input=request, capture_output=True, cwd=folder, timeout=120)
        self.status, self.errors = done.returncode, done.stderr.decode()
        self.lines = done.stdout.splitlines()
        self.log = RunnerLog([cell["id"] for cell in named], "sign")
        for line in self.lines:
            self.log(line)

    def outputs(self, number: int) -> list[dict[str, Any]]:
        events = [json.loads(line) for line in self.lines]
        return next(event["outputs"] for event in events if event.get("cell") == f"c{number}")

    def text(self, number: int, name: str = "stdout") -> str:
        return "".join(one["text"] for one in self.outputs(number) if one.get("name") == name)


def test_cells_behave_as_in_a_notebook(tmp_path: Path) -> None:
    ran = Ran(
        tmp_path,
        "print('out'); import sys; print('err', file=sys.stderr); 6 * 7",
        "def f():\n    near = 5\n    !echo from shell {near}\nf()",
        "%%bash\necho a\necho b >&2",
        "import asyncio\nawait asyncio.sleep(0)\n'awaited'",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint('before the picture')",
        "import os\nos.write(1, b'low\\n')\nprint('py')\ndisplay('shown')\nprint('z')",
        "import subprocess\nsubprocess.run('echo child; echo sad >&2', shell=True)\nlines = !echo caught\nlines",
        "%%writefile near.py\nVALUE = 3",
        "import near\nnear.VALUE + _oh[1]",
        "handle = display('one', display_id=True)\nhandle.update('two')",
        "input()",
    )
    assert ran.status == 0 and ran.log.all_ran and ran.log.failed
    assert [one["output_type"] for one in ran.outputs(0)] == ["stream", "stream", "execute_result"]
    assert ran.outputs(0)[2]["data"] == {"text/plain": "42"}
    assert ran.text(1) == "from shell 5\n"
    assert (ran.text(2), ran.text(2, "stderr")) == ("a\n", "b\n")
    assert ran.outputs(3)[0]["data"]["text/plain"] == "'awaited'"
    picture = ran.outputs(4)[-1]
    assert picture["output_type"] == "display_data" and picture["data"]["image/png"].startswith("iVBOR")
    assert [one.get("text") for one in ran.outputs(5)] == ["low\npy\n", None, "z\n"]
    assert ran.text(6) == "child\n" and ran.text(6, "stderr") == "sad\n"
    assert ran.outputs(8)[0]["data"]["text/plain"] == "45"
    assert ran.outputs(9)[0]["data"]["text/plain"] == "'two'"
    assert ran.outputs(10)[0]["ename"] == "EOFError"


@pytest.mark.parametrize("magic", ["%matplotlib inline", "%matplotlib agg", "%gui"])
def test_magics_that_ask_for_windows_fail_no_more_than_in_a_notebook(tmp_path: Path, magic: str) -> None:
    ran = Ran(tmp_path, f"{magic}\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", "plt")
    assert ran.status == 0 and ran.outputs(1)[0]["output_type"] == "execute_result", ran.outputs(0)
    if "inline" in magic:
        assert [one["output_type"] for one in ran.outputs(0)] == ["display_data"]


def test_a_cell_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    cells = [
        "1 / 0",
        "import sys\nsys.exit(3)",
        "exit()",
        "raise MemoryError",
        "raise KeyboardInterrupt",
        "x =",
    ]
    cells += [
        "def f(): f()\nf()",
        "class E(Exception):\n    def __str__(self): 1 / 0\nraise E",
        "print('last')",
    ]
    ran = Ran(tmp_path, *cells)
    assert ran.status == 0 and ran.log.all_ran and ran.log.failed
    names = [next((one.get("ename") for one in ran.outputs(number)), None) for number in range(len(cells))]
    errors = ["ZeroDivisionError", "SystemExit", None, "MemoryError", "KeyboardInterrupt", "SyntaxError"]
    assert names[:7] == [*errors, "RecursionError"]
    assert ran.text(len(cells) - 1) == "last\n"


@pytest.mark.parametrize("cell", ["import os\nos._exit(0)", "import os, signal\nos.kill(os.getpid(), 9)"])
def test_a_run_that_dies_is_seen_to(tmp_path: Path, cell: str) -> None:
    ran = Ran(tmp_path, "1", cell, "2")
    assert not ran.log.all_ran and not ran.log.forged and ran.log.last == "c1"


def test_a_segmentation_fault_says_where(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "import ctypes\nctypes.string_at(1)")
    assert ran.status == -11 and "Segmentation fault" in ran.errors


def test_a_child_that_a_cell_left_behind_does_not_go_on(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "import os\ntwin = os.fork()", "open('who', 'a').write('x')", "2")
    assert ran.status == 0 and ran.log.all_ran
    assert (tmp_path / "who").read_text() == "x"


def test_files_that_were_not_closed_are_written(tmp_path: Path) -> None:
    Ran(tmp_path, "file = open('open.txt', 'w')\nfile.write('all of it')")
    assert (tmp_path / "open.txt").read_text() == "all of it"


def test_output_has_its_room(tmp_path: Path) -> None:
    ran = Ran(
        tmp_path,
        "print('x' * 3000)",
        "!head -c 5000000 /dev/zero",
        "for n in range(4000): display(n)",
        "open('end', 'w').close()",
        output_bytes=100_000,
    )
    assert ran.status == protocol.FULL and ran.log.all_ran
    assert (tmp_path / "end").exists()
    assert len(ran.text(0)) == 3001 and len(ran.text(1)) == 100_000 - 3001 and ran.outputs(2) == []
    ran = Ran(tmp_path, "for n in range(4000): display(n)", "print('no more')")
    assert ran.status == protocol.FULL and len(ran.outputs(0)) == 2000 and ran.outputs(1) == []


def test_time_that_is_over_ends_the_cell_and_the_run(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "print('begins')\nwhile True: pass", "open('never', 'w')", seconds=1.0)
    assert ran.status == protocol.LATE and not ran.log.forged and ran.log.last == "c0"
    assert ran.text(0) == "begins\n" and ran.outputs(0)[1]["ename"] == "KeyboardInterrupt"
    assert not (tmp_path / "never").exists()


def test_descriptors_closed_by_a_cell_cost_only_the_lines(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "import os\nos.closerange(0, 65536)", "with open('work', 'w') as f: f.write('done')")
    assert not ran.log.all_ran and not ran.log.forged
    assert (tmp_path / "work").read_text() == "done"


def test_odd_letters_do_not_break_a_line(tmp_path: Path) -> None:
    ran = Ran(
        tmp_path,
        "print('\\ud800')\ndisplay('\\ud801')\nimport os\nos.write(2, b'\\xff\\n')\nraise OSError('\\ud802')",
    )
    assert ran.log.all_ran
    assert ran.text(0) == "\\ud800\n" and ran.text(0, "stderr") == "\ufffd\n"


def forged(*lines: object) -> str:
    log = RunnerLog(["a", "b"], "sign")
    for line in lines:
        log(line if isinstance(line, bytes) else json.dumps(line).encode())
    return log.forged


def test_lines_that_the_runner_does_not_write_are_known() -> None:
    begin = {"nonce": "sign", "begin": "a"}
    end = {"nonce": "sign", "cell": "a", "status": "ok", "outputs": [], "seconds": 0.1}
    assert not forged(begin, end)
    assert (
        forged(b"hello") and forged(b"[" * 100_000) and forged(b"\xff") and forged({"x": 1, "nonce": "sign"})
    )
    assert forged({**begin, "nonce": "other"}) and forged({"begin": "a"})
    assert (
        forged(begin, begin) and forged(begin, end, end) and forged(end) and forged({**begin, "begin": "b"})
    )
    assert forged(begin, {**end, "status": "passed"}) and forged({"nonce": "sign", "done": True})
    assert forged({"nonce": "sign"})


def test_the_learners_own_lines_on_the_channel_are_forged(tmp_path: Path) -> None:
    ran = Ran(
        tmp_path,
        'import os\nfor fd in range(3, 300):\n    try: os.write(fd, b\'{"cell": "c0"}\\n\')\n    except OSError: pass',
    )
    assert ran.log.forged


SPREAD = "def spread(values):\n    print('noise')\n    return max(values) - min(values)"


def answer(folder: Path, source: str, *calls: list[Any], name: str = "spread", seconds: float = 30.0) -> Any:
    question = {"function": name, "calls": calls, "nonce": "q"}
    cells = [{"id": "c", "source": source, "kind": "answer"}]
    request = protocol.question_request(cells, question, seconds=seconds)
    done = subprocess.run(RUNNER, input=request, capture_output=True, cwd=folder, timeout=120)
    lines = done.stdout.splitlines()
    assert len(lines) <= 1
    return json.loads(lines[0]) if lines else done.returncode


def test_a_question_is_answered_in_one_line(tmp_path: Path) -> None:
    assert answer(tmp_path, SPREAD, [[9, 3, 5]], [[1]]) == {
        "nonce": "q",
        "replies": [{"value": 6}, {"value": 0}],
    }
    [reply] = answer(tmp_path, SPREAD, [[]])["replies"]
    assert reply["raised"] == "ValueError"
    assert answer(tmp_path, "x = 1", [1])["replies"] == [{"missing": True}]
    assert answer(tmp_path, "1 / 0", [1])["replies"] == [{"missing": True}]


def test_replies_that_are_no_plain_values(tmp_path: Path) -> None:
    for value in ("{1}", "b'x'", "float('nan')", "10**5000", "object()", "print"):
        [reply] = answer(tmp_path, f"def spread(values):\n    return {value}", [[1]])["replies"]
        assert set(reply) == {"wrong"}, value
    [reply] = answer(tmp_path, "def spread(values):\n    return 'x' * 2_000_000", [[1]])["replies"]
    assert "more than 1 MB" in reply["wrong"]
    assert answer(tmp_path, "def spread(values):\n    while True: pass", [[1]], seconds=1.0) == protocol.LATE


def test_nothing_of_the_environment_is_needed(tmp_path: Path) -> None:
    request = protocol.cells_request([{"id": "a", "source": "1"}], nonce="n", seconds=20, output_bytes=1000)
    bare = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(RUNNER, input=request, capture_output=True, cwd=tmp_path, timeout=60, env=bare)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
