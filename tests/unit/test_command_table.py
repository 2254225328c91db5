"""The table of commands, from which `hpclab --help` is made without importing a command."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import click
import pytest

from hpclab import cli

LIGHT = {"click", "hpclab", "hpclab.cli", "hpclab.errors", "hpclab.layout"}


def modules_after(words: list[str], **settings: str) -> tuple[str, set[str]]:
    """What `hpclab WORDS` prints, and the modules of ours and of installed packages that it imports."""
    program = (
        "import atexit, json, sys\n"
        "before = set(sys.modules)\n"
        "atexit.register(lambda: print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr))\n"
        "from hpclab import cli\n"
        "sys.argv = ['hpclab', *sys.argv[1:]]\n"
        "cli.main(prog_name='hpclab')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=settings, capture_output=True, text=True, timeout=60
    )
    imported = json.loads(done.stderr.splitlines()[-1])
    return done.stdout, {
        name
        for name in imported
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("click.")
    } - {"rfc3987_syntax"}


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_line_is_how_the_commands_own_help_begins(name: str) -> None:
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None and command.help
    own = " ".join(command.help.split())
    line = cli.COMMANDS[name].help
    assert line.endswith(".") and len(line) <= 80
    assert re.match(rf"{re.escape(line[:-1])}(?!\w)", own), own


def test_help_imports_no_command() -> None:
    out, imported = modules_after(["--help"])
    for name, entry in cli.COMMANDS.items():
        assert re.search(rf"^  {name} +{entry.help.split()[0]}", out, re.MULTILINE), name
    assert imported == LIGHT


def test_completion_of_a_commands_name_imports_no_command() -> None:
    asked = {"_HPCLAB_COMPLETE": "zsh_complete", "COMP_WORDS": "hpclab re", "COMP_CWORD": "1"}
    out, imported = modules_after([], **asked)
    lines = out.splitlines()
    assert lines[1::3] == ["release", "report"]
    assert lines[2::3] == [cli.COMMANDS[name].help for name in ("release", "report")]
    assert imported == LIGHT


def test_completion_after_a_commands_name_asks_the_command() -> None:
    asked = {"_HPCLAB_COMPLETE": "bash_complete", "COMP_WORDS": "hpclab site e", "COMP_CWORD": "2"}
    out, imported = modules_after([], **asked)
    assert out.split() == ["plain,env"]
    assert "hpclab.cli.site" in imported


def test_options_of_the_program_are_completed() -> None:
    asked = {"_HPCLAB_COMPLETE": "bash_complete", "COMP_WORDS": "hpclab --v", "COMP_CWORD": "1"}
    assert modules_after([], **asked)[0].split() == ["plain,--version"]


@pytest.mark.parametrize("module", ["cluster", "fault", "doctor", "site"])
def test_commands_without_labs_import_no_notebook_library(module: str) -> None:
    program = (
        f"import sys, hpclab.cli.{module}; print(*{{'nbformat', 'jupytext', 'nbgrader'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
