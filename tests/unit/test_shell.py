"""hpclab.shell: results and failures of commands, and waits with a deadline."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hpclab import shell
from hpclab.errors import CommandFailed, DeadlineExceeded


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_run_returns_what_was_written() -> None:
    done = shell.run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 0)


def test_run_gives_stdin_or_nothing_to_read() -> None:
    read = python("import sys; print(repr(sys.stdin.read()))")
    assert shell.run(read, stdin="name").stdout == "'name'\n"
    assert shell.run(read).stdout == "''\n"


def test_run_takes_paths_an_environment_and_a_folder(tmp_path: Path) -> None:
    program = tmp_path / "my program"
    program.write_text('#!/bin/sh\necho "$COLOUR in $PWD: $1"\n')
    program.chmod(0o755)
    done = shell.run([program, "a b"], env={"COLOUR": "red"}, cwd=tmp_path)
    assert done.stdout == f"red in {tmp_path}: a b\n"


def test_a_failure_shows_step_status_command_output_and_remedy() -> None:
    with pytest.raises(CommandFailed) as caught:
        shell.run(
            ["sh", "-c", "echo no such account >&2; exit 3"], step="adding the account", remedy="Try X."
        )
    text = str(caught.value)
    for part in ("adding the account: ", "exit status 3", "sh -c 'echo no", "    no such account", "Try X."):
        assert part in text


def test_failure_without_stderr_shows_stdout() -> None:
    with pytest.raises(CommandFailed, match="only here"):
        shell.run(["sh", "-c", "echo only here; false"])


def test_failure_can_be_ignored() -> None:
    assert shell.run(["sh", "-c", "exit 3"], check=False).returncode == 3


def test_a_command_killed_by_a_signal_is_a_failure() -> None:
    with pytest.raises(CommandFailed, match="-9"):
        shell.run(["sh", "-c", "kill -9 $$"])


def test_a_missing_program_is_named() -> None:
    with pytest.raises(CommandFailed, match="'no-such-program' is not installed"):
        shell.run(["no-such-program"], remedy="Install it.")


def test_binary_output_is_decoded() -> None:
    assert shell.run(["printf", r"a\377b"]).stdout == "a\ufffdb"


def test_timeout_shows_the_output_so_far() -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        shell.run(["sh", "-c", "echo waiting for the disk >&2; exec sleep 60"], timeout=0.3)
    assert time.monotonic() - started < 20
    assert "not finished after 0.3 s: sh -c" in str(caught.value)
    assert "waiting for the disk" in str(caught.value)


def test_wait_until_returns_the_first_true_answer() -> None:
    answers = iter([None, None, "ready", "later"])
    assert shell.wait_until(lambda: next(answers), "it", seconds=20, every=0) == "ready"


def test_wait_until_probes_at_least_once() -> None:
    assert shell.wait_until(lambda: 1, "it", seconds=0) == 1


def test_wait_until_error_has_condition_and_log(tmp_path: Path) -> None:
    log = tmp_path / "slurmd.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    with pytest.raises(DeadlineExceeded) as caught:
        shell.wait_until(lambda: None, "node nid001", seconds=0.05, every=0.01, log=log, remedy="Look there.")
    text = str(caught.value)
    for part in ("waited 0.05 s for node nid001", str(log), "line 85", "line 99", "Look there."):
        assert part in text
    assert "line 84" not in text


def test_wait_until_raises_the_probes_error() -> None:
    def broken() -> None:
        raise CommandFailed("scontrol is gone")

    with pytest.raises(CommandFailed, match="scontrol is gone"):
        shell.wait_until(broken, "it", seconds=20)


def test_tail_of_a_missing_log_says_so(tmp_path: Path) -> None:
    assert shell.tail(tmp_path / "none.log") == f"({tmp_path / 'none.log'}: No such file or directory)"


def test_indented_keeps_only_the_end() -> None:
    assert shell.indented("") == ""
    assert shell.indented("a\nb") == "\n    a\n    b"
    assert shell.indented("x" * 10 + "end", limit=3) == "\n    end"


def test_missing_folder_is_not_reported_as_missing_program(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="gone"):
        shell.run(["true"], cwd=tmp_path / "gone")


def test_program_without_execute_permission_has_a_reason(tmp_path: Path) -> None:
    program = tmp_path / "plain-file"
    program.write_text("text\n")
    with pytest.raises(CommandFailed, match=r"plain-file.*[Pp]ermission denied"):
        shell.run([program])
