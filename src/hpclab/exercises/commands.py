"""Commands that an exercise shows, and whether their subcommands and long options exist.

What exists is handed in as a Manual; nothing here knows any program. Reads
shell lines, batch scripts, shell blocks and code in the running text.
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
SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# Where a command may begin: a line, after an operator, in a substitution, after a word of the shell.
STARTS = r"(?:^|[|;&(!\"'`{])\s*(?:(?:if|then|else|do|while|until|time|exec|env|nohup|!)\s+)*(?:\w+=\S*\s+)*"
SHELL_MAGIC = re.compile(r"%%(bash|sh|writefile)\b")
SCRIPT = re.compile(r"\.(sbatch|sh|py|sif)$|^(python3?|bash|sh|env|hostname|true)$|^\.{1,2}/")
LONG = re.compile(r"--[A-Za-z][\w-]*")


@dataclass(frozen=True)
class Command:
    """One command as shown: the line in its cell, from 0, its words and its long options."""

    line: int
    words: tuple[str, ...]
    options: tuple[str, ...]


def problems(exercise: Exercise, manual: Manual) -> Iterator[Problem]:
    """Subcommands and long options in ``exercise`` that ``manual`` does not know."""
    programs = {key[0] for key in manual}
    for cell in exercise.notebook.cells:
        for command in shown(cell, programs):
            line = cell.metadata.hpclab.first + command.line
            for what, cure in _unknown(command, manual):
                yield Problem(exercise.path, line, what, cure)


def shown(cell: NotebookNode, programs: Collection[str]) -> Iterator[Command]:
    """Every command of ``programs`` that ``cell`` shows."""
    if not programs:
        return
    names = "|".join(re.escape(name) for name in sorted(programs))
    start = re.compile(rf"{STARTS}({names})(?=[\s;|&)]|$)", re.MULTILINE)
    for line, text in _shell_text(cell):
        joined = text.replace("\\\n", "  ")
        for found in start.finditer(joined):
            before = text[: found.start(1)].count("\n")
            yield _command(line + before, found[1], _rest(joined[found.end() :]))


def _shell_text(cell: NotebookNode) -> Iterator[tuple[int, str]]:
    """Stretches of shell in the cell, each with its line in the cell."""
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
    for found in SPAN.finditer(prose):
        yield prose[: found.start()].count("\n"), found[2]


def _rest(text: str) -> str:
    """The command's own words: up to the end of the line or an operator outside of quotes."""
    plain: list[str] = []
    quote, depth, opening = "", 0, 0
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif depth:
            depth += {"(": 1, ")": -1}.get(character, 0) if position > opening else 0
        elif text.startswith("$(", position):
            depth, opening = 1, position + 1
            plain.append("v")  # a value: one word that says nothing
        elif character in "\"'":
            quote = character
            plain.append("v")
        elif character in "\n|;&)`#<>":
            break
        else:
            plain.append(character)
    return "".join(plain)


def _command(line: int, program: str, rest: str) -> Command:
    words, options = [program], []
    value_may_follow = False
    for word in rest.split():
        if word == "--":
            break
        if found := LONG.match(word):
            options.append(found[0])
            value_may_follow = "=" not in word
        elif word.startswith("-"):
            value_may_follow = len(word) == 2
        elif value_may_follow and not SCRIPT.search(word):
            value_may_follow = False
        elif program in ("srun", "sbatch", "salloc"):
            break  # what follows belongs to the program that it starts
        else:
            words.append(word)
            if program == "apptainer" and len(words) > 2 and words[1] in ("exec", "run", "shell", "test"):
                break
    return Command(line, tuple(words), tuple(options))


def _unknown(command: Command, manual: Manual) -> Iterator[tuple[str, str]]:
    key = max((key for key in manual if command.words[: len(key)] == key), key=len, default=None)
    if key is None:
        return
    below = sorted(
        {other[len(key)] for other in manual if len(other) > len(key) and other[: len(key)] == key}
    )
    if below and len(command.words) > len(key) and re.fullmatch(r"[a-z][a-z-]*", command.words[len(key)]):
        word = command.words[len(key)]
        yield f"{' '.join(key)} has no subcommand {word!r}", _near(word, below)
        return
    known = [manual.get(key[:length]) for length in range(1, len(key) + 1)]
    if known[-1] is None:
        return
    valid = sorted({"--help", "--version"}.union(*(options for options in known if options)))
    for option in command.options:
        if option not in valid:
            yield f"{' '.join(key)} has no option {option}", _near(option, valid)


def _near(word: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(word, valid, n=3)
    return f"Did you mean {' or '.join(close)}?" if close else f"Valid: {', '.join(valid)}."


def options_in(page: str) -> frozenset[str]:
    """The long options that a manual page names, given as its source."""
    return frozenset(LONG.findall(page.replace("\\-", "-")))
