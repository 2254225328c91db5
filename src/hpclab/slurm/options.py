"""What a batch script and a command line ask ``sbatch`` for. Touches nothing.

Source: sbatch(1) of Slurm 22.05, and the options that later releases up to 25.05 added.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from hpclab.slurm.jobs import Dependency

# Options with a value, and their letter.
_VALUED = {
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
# A value only after "=", or directly after the letter.
_MAYBE_VALUED = {
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
_ALL = _VALUED | _MAYBE_VALUED | _FLAGS
_LONG = {letter: name for name, letter in _ALL.items() if letter}
_SAME = {"tasks-per-node": "ntasks-per-node"}  # another spelling of the same option
_WRAPPED = re.compile(r"#!/bin/sh\n# This script was created by sbatch --wrap\.\n\n(.*?)\n*", re.DOTALL)


def read_options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Options by their long names (a flag's value is empty), and the words from the first that is none.

    As in sbatch itself the last of two counts, and a long name may be cut short while it is unambiguous.
    """
    options: dict[str, str] = {}
    left = list(words)
    while left and left[0].startswith("-") and left[0] != "-":
        word = left.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            said, equals, value = word[2:].partition("=")
            name = _full(said)
            if not equals and name in _VALUED:
                value = left.pop(0) if left else ""
            options[_SAME.get(name, name)] = value
            continue
        letters = word[1:]
        while letters:
            name, letters = _LONG.get(letters[0], letters[0]), letters[1:]
            value = ""
            if name in _VALUED:
                value, letters = letters or (left.pop(0) if left else ""), ""
            elif name in _MAYBE_VALUED:
                value, letters = letters, ""
            options[name] = value
    return options, left


def read_directives(script: str) -> dict[str, str]:
    """The options in a batch script's ``#SBATCH`` lines; those below the first command are comments."""
    options: dict[str, str] = {}
    for line in script.split("\n"):  # as Slurm cuts it: a form feed ends no line
        if line.startswith("#SBATCH"):
            words = split_words(line.removeprefix("#SBATCH"), comments=True)
            while words:
                found, words = read_options(words)
                options |= found
                words = words[1:]  # sbatch ignores what is no option
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return options


def read_submit_line(
    line: str, *, script: str = "", name: str = "", comment: str = ""
) -> tuple[dict[str, str], list[str]]:
    """The options of an ``sbatch`` command line, and the script's name with its arguments.

    Slurm 22.05 keeps the words without their quotation marks, so values with spaces are found by what the
    job's record says of them: the stored ``script`` (which holds what ``--wrap`` said), ``name``, ``comment``.
    """
    wrapped = _WRAPPED.fullmatch(script)
    known = [
        (r"--wrap[= ]", wrapped[1] if wrapped else ""),
        (r"--comment[= ]", comment),
        (r"(?:--job-name[= ]|-J ?)", name),
    ]
    hidden: dict[str, str] = {}
    for option, value in known:
        if not re.search(r"[\s'\"`\\]", value):
            continue
        said = re.escape(value).replace("`", '[`"]')  # accounting's spelling of a quotation mark in a name
        if found := re.search(f"(?<= )({option})({said})(?= |$)", line):
            mark = f"\0{len(hidden)}\0"
            hidden[mark] = found[2]
            line = line[: found.start(2)] + mark + line[found.end(2) :]
    options, rest = read_options(split_words(line)[1:])
    return {key: hidden.get(value, value) for key, value in options.items()}, rest


def read_dependencies(text: str) -> list[Dependency]:
    """The conditions of a ``--dependency``: ``afterok:12:13,afterany:14``, ``singleton``, ``12``.

    A bare ID means ``afterany``. The states that squeue puts behind an ID are left out.
    """
    found = []
    for said in re.split(r"[,?]", re.sub(r"\([^)]*\)", "", text)):
        said = said.strip()
        kind, *ids = said.split(":")
        if kind[:1].isdigit():
            kind, ids = "afterany", said.split(":")
        if kind:
            plain = tuple(one.partition("+")[0].removesuffix("_*") for one in ids if one)
            found.append(Dependency(kind.lower(), plain, said, "?" in text))
    return found


def split_words(line: str, *, comments: bool = False) -> list[str]:
    """The words of a line as a shell has them; of one that no shell accepts, what stands between spaces.

    ``comments``: a word that begins with ``#``, and all after it, is left out.
    """
    try:
        words = shlex.split(line)
    except ValueError:  # an open quotation mark in somebody's command line
        words = line.split()
    first = next((index for index, word in enumerate(words) if comments and word.startswith("#")), None)
    return words[:first]


def _full(said: str) -> str:
    """The option that a long name, perhaps cut short, means; itself where that is not clear."""
    if said in _ALL:
        return said
    fitting = [name for name in _ALL if name.startswith(said)]
    return fitting[0] if len(fitting) == 1 else said
