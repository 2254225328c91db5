"""Find commands in a lab whose subcommands or long options do not exist.

The caller passes the existing ones as a Manual. Shell lines, batch scripts, shell blocks and inline code are
checked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from nbformat import NotebookNode

from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

# Program and subcommands → long options, as in {("apptainer", "exec"): {"--nv", …}};
# None where the options are not known. Options of ("apptainer",) hold for its subcommands too.
Manual = Mapping[tuple[str, ...], Collection[str] | None]

FENCED = re.compile(r"^\s*(`{3,}|~{3,})[^\n]*\n(.*?)^\s*\1\s*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# Where a command may begin: at a line, after an operator, in a substitution, after a shell keyword.
COMMAND_START = (
    r"(?:^|[|;&(!\"'`{])\s*(?:(?:if|then|else|do|while|until|time|exec|env|nohup|!)\s+)*(?:\w+=\S*\s+)*"
)
SHELL_MAGIC = re.compile(r"%%(bash|sh|writefile)\b")
SCRIPT_NAME = re.compile(r"\.(sbatch|sh|py|sif)$|^(python3?|bash|sh|env|hostname|true)$|^\.{1,2}/")
LONG_OPTION = re.compile(r"--[A-Za-z][\w-]*")


@dataclass(frozen=True)
class Command:
    """A command in a cell: its line from 0, its program with subcommands, and its long options."""

    line: int
    words: tuple[str, ...]
    options: tuple[str, ...]


def find_problems(exercise: Exercise, manual: Manual) -> Iterator[Problem]:
    """Yield the subcommands and long options in ``exercise`` that are not in ``manual``."""
    programs = {key[0] for key in manual}
    for cell in exercise.notebook.cells:
        for command in extract_commands(cell, programs):
            line = cell.metadata.hpclab.first + command.line
            for what, remedy in _find_unknown(command, manual):
                yield Problem(exercise.path, line, what, remedy)


def extract_commands(cell: NotebookNode, programs: Collection[str]) -> Iterator[Command]:
    """Yield every command of ``programs`` in ``cell``."""
    if not programs:
        return
    names = "|".join(re.escape(name) for name in sorted(programs))
    start = re.compile(rf"{COMMAND_START}({names})(?=[\s;|&)]|$)", re.MULTILINE)
    for line, text in _extract_shell(cell):
        joined = text.replace("\\\n", "  ")
        for found in start.finditer(joined):
            before = text[: found.start(1)].count("\n")
            yield _parse_command(line + before, found[1], _command_text(joined[found.end() :]))


def _extract_shell(cell: NotebookNode) -> Iterator[tuple[int, str]]:
    """Yield the shell text in the cell, each part with its line in the cell."""
    source = cell.source
    if cell.cell_type == "code":
        if SHELL_MAGIC.match(source):
            yield 0, source
            return
        for number, line in enumerate(source.splitlines()):
            if found := re.match(r"\s*(?:\w+\s*=\s*)?!(.*)", line):
                yield number, found[1]
        return
    for found in FENCED.finditer(source):
        yield source[: found.start(2)].count("\n"), found[2]
    prose = FENCED.sub(lambda block: "\n" * block[0].count("\n"), source)
    for found in CODE_SPAN.finditer(prose):
        yield prose[: found.start()].count("\n"), found[2]


def _command_text(text: str) -> str:
    """The rest of the command: up to the end of the line or an operator outside quotes."""
    plain: list[str] = []
    quote, depth, opening = "", 0, 0
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif depth:
            depth += {"(": 1, ")": -1}.get(character, 0) if position > opening else 0
        elif text.startswith("$(", position):
            depth, opening = 1, position + 1
            plain.append("v")  # a placeholder for the value
        elif character in "\"'":
            quote = character
            plain.append("v")
        elif character in "\n|;&)`#<>":
            break
        else:
            plain.append(character)
    return "".join(plain)


def _parse_command(line: int, program: str, rest: str) -> Command:
    words, options = [program], []
    value_may_follow = False
    for word in rest.split():
        if word == "--":
            break
        if found := LONG_OPTION.match(word):
            options.append(found[0])
            value_may_follow = "=" not in word
        elif word.startswith("-"):
            value_may_follow = len(word) == 2
        elif value_may_follow and not SCRIPT_NAME.search(word):
            value_may_follow = False
        elif program in ("srun", "sbatch", "salloc"):
            break  # the rest belongs to the program that it starts
        else:
            words.append(word)
            if program == "apptainer" and len(words) > 2 and words[1] in ("exec", "run", "shell", "test"):
                break
    return Command(line, tuple(words), tuple(options))


def _find_unknown(command: Command, manual: Manual) -> Iterator[tuple[str, str]]:
    key = max((key for key in manual if command.words[: len(key)] == key), key=len, default=None)
    if key is None:
        return
    below = sorted(
        {other[len(key)] for other in manual if len(other) > len(key) and other[: len(key)] == key}
    )
    if below and len(command.words) > len(key) and re.fullmatch(r"[a-z][a-z-]*", command.words[len(key)]):
        word = command.words[len(key)]
        yield f"{' '.join(key)} has no subcommand {word!r}", _suggest(word, below)
        return
    known = [manual.get(key[:length]) for length in range(1, len(key) + 1)]
    if known[-1] is None:
        return
    valid = sorted({"--help", "--version"}.union(*(options for options in known if options)))
    for option in command.options:
        if option not in valid:
            yield f"{' '.join(key)} has no option {option}", _suggest(option, valid)


def _suggest(word: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(word, valid, n=3)
    return f"Did you mean {' or '.join(close)}?" if close else f"Valid: {', '.join(valid)}."


def extract_options(page: str) -> frozenset[str]:
    """Return the long options in the source of a manual page."""
    return frozenset(LONG_OPTION.findall(page.replace("\\-", "-")))
