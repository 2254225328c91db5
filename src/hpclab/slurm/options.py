"""The options of ``sbatch`` in batch scripts and on command lines. Pure.

Source: sbatch(1) of Slurm 22.05, and the options that later releases up to 25.05 added.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from hpclab.slurm.jobs import Dependency

# Options that need a value, with their short form.
_WITH_VALUE = {
    "account": "A",
    "acctg-freq": "",
    "array": "a",
    "batch": "",
    "bb": "",
    "bbf": "",
    "begin": "b",
    "chdir": "D",
    "cluster-constraint": "",
    "clusters": "M",
    "comment": "",
    "constraint": "C",
    "container": "",
    "container-id": "",
    "core-spec": "S",
    "cores-per-socket": "",
    "cpu-freq": "",
    "cpus-per-gpu": "",
    "cpus-per-task": "c",
    "deadline": "",
    "delay-boot": "",
    "dependency": "d",
    "distribution": "m",
    "error": "e",
    "exclude": "x",
    "export": "",
    "export-file": "",
    "extra": "",
    "extra-node-info": "B",
    "gid": "",
    "gpu-bind": "",
    "gpu-freq": "",
    "gpus": "G",
    "gpus-per-node": "",
    "gpus-per-socket": "",
    "gpus-per-task": "",
    "gres": "",
    "gres-flags": "",
    "hint": "",
    "input": "i",
    "job-name": "J",
    "kill-on-invalid-dep": "",
    "licenses": "L",
    "mail-type": "",
    "mail-user": "",
    "mcs-label": "",
    "mem": "",
    "mem-bind": "",
    "mem-per-cpu": "",
    "mem-per-gpu": "",
    "mincpus": "",
    "network": "",
    "nodefile": "F",
    "nodelist": "w",
    "nodes": "N",
    "ntasks": "n",
    "ntasks-per-core": "",
    "ntasks-per-gpu": "",
    "ntasks-per-node": "",
    "ntasks-per-socket": "",
    "oom-kill-step": "",
    "open-mode": "",
    "output": "o",
    "partition": "p",
    "power": "",
    "prefer": "",
    "priority": "",
    "profile": "",
    "qos": "q",
    "reservation": "",
    "segment": "",
    "signal": "",
    "sockets-per-node": "",
    "switches": "",
    "tasks-per-node": "",
    "thread-spec": "",
    "threads-per-core": "",
    "time": "t",
    "time-min": "",
    "tmp": "",
    "tres-bind": "",
    "tres-per-task": "",
    "uid": "",
    "wait-all-nodes": "",
    "wckey": "",
    "wrap": "",
}
# Options with an optional value, given after "=" or directly after the short form.
_WITH_OPTIONAL_VALUE = {
    "exclusive": "",
    "get-user-env": "",
    "nice": "",
    "no-kill": "k",
    "propagate": "",
    "resv-ports": "",
}
_FLAGS = {
    "consolidate-segments": "",
    "contiguous": "",
    "help": "h",
    "hold": "H",
    "ignore-pbs": "",
    "no-requeue": "",
    "overcommit": "O",
    "oversubscribe": "s",
    "parsable": "",
    "quiet": "Q",
    "reboot": "",
    "requeue": "",
    "spread-job": "",
    "stepmgr": "",
    "test-only": "",
    "usage": "",
    "use-min-nodes": "",
    "verbose": "v",
    "version": "V",
    "wait": "W",
}
_ALL_OPTIONS = _WITH_VALUE | _WITH_OPTIONAL_VALUE | _FLAGS
_LONG_NAMES = {letter: name for name, letter in _ALL_OPTIONS.items() if letter}
_ALIASES = {"tasks-per-node": "ntasks-per-node"}
_WRAPPED = re.compile(r"#!/bin/sh\n# This script was created by sbatch --wrap\.\n\n(.*?)\n*", re.DOTALL)


def read_options(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options by long name (empty value for flags), and the arguments from the first that is no option.

    As in sbatch, the last of repeated options counts, and a long name may be abbreviated if it is unambiguous.
    """
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        argument = rest.pop(0)
        if argument == "--":
            break
        if argument.startswith("--"):
            written, equals, value = argument[2:].partition("=")
            name = _complete_name(written)
            if not equals and name in _WITH_VALUE:
                value = rest.pop(0) if rest else ""
            options[_ALIASES.get(name, name)] = value
            continue
        letters = argument[1:]
        while letters:
            name, letters = _LONG_NAMES.get(letters[0], letters[0]), letters[1:]
            value = ""
            if name in _WITH_VALUE:
                value, letters = letters or (rest.pop(0) if rest else ""), ""
            elif name in _WITH_OPTIONAL_VALUE:
                value, letters = letters, ""
            options[name] = value
    return options, rest


def read_directives(script: str) -> dict[str, str]:
    """Return the options in a batch script's ``#SBATCH`` lines above its first command."""
    options: dict[str, str] = {}
    for line in script.split("\n"):  # not splitlines: for Slurm a form feed ends no line
        if line.startswith("#SBATCH"):
            arguments = split_words(line.removeprefix("#SBATCH"), comments=True)
            while arguments:
                parsed, arguments = read_options(arguments)
                options |= parsed
                arguments = arguments[1:]  # sbatch ignores an argument that is no option
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return options


def read_submit_line(
    line: str, *, script: str = "", name: str = "", comment: str = ""
) -> tuple[dict[str, str], list[str]]:
    """Return the options of an ``sbatch`` command line, and the script's path with its arguments.

    Slurm 22.05 stores the command line without quotes, so values with spaces are recognized by the job's record:
    the stored ``script`` (which has the text of ``--wrap``), ``name`` and ``comment``.
    """
    wrapped = _WRAPPED.fullmatch(script)
    known = [
        (r"--wrap[= ]", wrapped[1] if wrapped else ""),
        (r"--comment[= ]", comment),
        (r"(?:--job-name[= ]|-J ?)", name),
    ]
    replaced: dict[str, str] = {}
    for option, value in known:
        if not re.search(r"[\s'\"`\\]", value):
            continue
        pattern = re.escape(value).replace(
            "`", '[`"]'
        )  # accounting stores a double quote in a name as a backquote
        if match := re.search(f"(?<= )({option})({pattern})(?= |$)", line):
            mark = f"\0{len(replaced)}\0"
            replaced[mark] = match[2]
            line = line[: match.start(2)] + mark + line[match.end(2) :]
    options, rest = read_options(split_words(line)[1:])
    return {key: replaced.get(value, value) for key, value in options.items()}, rest


def read_dependencies(text: str) -> list[Dependency]:
    """Return the conditions of a ``--dependency``, such as ``afterok:12:13,afterany:14``, ``singleton``, ``12``.

    An id alone means ``afterany``. The states that squeue prints after an id are left out.
    """
    conditions = []
    for condition in re.split(r"[,?]", re.sub(r"\([^)]*\)", "", text)):
        condition = condition.strip()
        kind, *ids = condition.split(":")
        if kind[:1].isdigit():
            kind, ids = "afterany", condition.split(":")
        if kind:
            job_ids = tuple(job_id.partition("+")[0].removesuffix("_*") for job_id in ids if job_id)
            conditions.append(Dependency(kind.lower(), job_ids, condition, "?" in text))
    return conditions


def split_words(line: str, *, comments: bool = False) -> list[str]:
    """Split a line into words like a shell; a line with an open quote is split at spaces.

    ``comments``: leave out everything from the first word that begins with ``#``.
    """
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote
        words = line.split()
    first = next((index for index, word in enumerate(words) if comments and word.startswith("#")), None)
    return words[:first]


def _complete_name(written: str) -> str:
    """The long name that ``written`` abbreviates; ``written`` itself if that is ambiguous."""
    if written in _ALL_OPTIONS:
        return written
    matches = [name for name in _ALL_OPTIONS if name.startswith(written)]
    return matches[0] if len(matches) == 1 else written
