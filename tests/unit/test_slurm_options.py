"""Options of sbatch in scripts and on command lines."""

from __future__ import annotations

import pytest

from hpclab import slurm
from hpclab.slurm import Dependency


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("-n 4 -c2 --time=5", {"ntasks": "4", "cpus-per-task": "2", "time": "5"}),
        ("--ntasks 4 --hold", {"ntasks": "4", "hold": ""}),
        ("-Hn4", {"hold": "", "ntasks": "4"}),
        ("-HQ -N 2", {"hold": "", "quiet": "", "nodes": "2"}),
        ("--exclusive --nodes=1", {"exclusive": "", "nodes": "1"}),
        ("--exclusive=user -k", {"exclusive": "user", "no-kill": ""}),
        ("--dep=afterok:1 --part=debug", {"dependency": "afterok:1", "partition": "debug"}),
        ("--gpus=2 --gpus=4", {"gpus": "4"}),
        ("--tasks-per-node=2", {"ntasks-per-node": "2"}),
        ("--some-news=1 --flag-of-a-plugin", {"some-news": "1", "flag-of-a-plugin": ""}),
        ("--export=ALL,A=1", {"export": "ALL,A=1"}),
        ("--time", {"time": ""}),
        ("-t", {"time": ""}),
    ],
)
def test_spellings_of_an_option(words: str, options: dict[str, str]) -> None:
    assert slurm.read_options(words.split()) == (options, [])


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        ("-n 4 a.sbatch -n 5 --time=3", ["a.sbatch", "-n", "5", "--time=3"]),
        ("-n 4 -- a.sbatch --time=3", ["a.sbatch", "--time=3"]),
        ("-n 4 -", ["-"]),
    ],
)
def test_arguments_after_the_script_are_not_options(words: str, rest: list[str]) -> None:
    assert slurm.read_options(words.split()) == ({"ntasks": "4"}, rest)


def test_directives_end_at_the_first_command() -> None:
    script = """#!/bin/bash
#SBATCH -J train   # a name
# a comment

#SBATCH --comment="two words" --nodes=2
## SBATCH --time=1
 #SBATCH --time=2
#SBATCH -H
set -e
#SBATCH --time=3
"""
    assert slurm.read_directives(script) == {
        "job-name": "train",
        "comment": "two words",
        "nodes": "2",
        "hold": "",
    }


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("#SBATCH --output=a#b.out", {"output": "a#b.out"}),
        ("# note\x0c#SBATCH --hold\n#SBATCH --time=1\r\n", {"time": "1"}),  # what Slurm does not see
        ("#SBATCH --comment='it is", {"comment": "'it"}),  # an open quotation mark
        ("#SBATCH\t-n\t3", {"ntasks": "3"}),
        ("#SBATCH", {}),
        ("#SBATCH words --time=3", {"time": "3"}),
        ("#SBATCH --time=1\r", {"time": "1"}),
    ],
)
def test_odd_directives(line: str, options: dict[str, str]) -> None:
    assert slurm.read_directives(f"#!/bin/bash\n{line}\n") == options


WRAPPED = "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{}\n\n"


@pytest.mark.parametrize(
    "command", ["echo -n hi --time=9 -J x", "echo 'x|y' \"z\"", "sleep 1\nsrun -n 4 it's --comment=c", "true"]
)
@pytest.mark.parametrize("form", ["--wrap={}", "--wrap {}"])
def test_wrapped_command_is_not_parsed_as_options(command: str, form: str) -> None:
    line = f"sbatch -n 2 {form.format(command)} --time=1"
    options, rest = slurm.read_submit_line(line, script=WRAPPED.format(command))
    assert options == {"ntasks": "2", "wrap": command, "time": "1"}
    assert rest == []


@pytest.mark.parametrize("option", ["--job-name=", "--job-name ", "-J ", "-J"])
def test_a_name_and_a_comment_with_spaces(option: str) -> None:
    line = f"sbatch {option}a name -n 3 --comment=two  words --time=9 -t 5 a.sbatch x"
    options, rest = slurm.read_submit_line(line, name="a name -n 3", comment="two  words --time=9")
    assert options == {"job-name": "a name -n 3", "comment": "two  words --time=9", "time": "5"}
    assert rest == ["a.sbatch", "x"]


def test_a_path_of_sbatch_and_a_script_from_stdin() -> None:
    assert slurm.read_submit_line("/usr/bin/sbatch --parsable -t 1") == ({"parsable": "", "time": "1"}, [])
    assert slurm.read_submit_line("") == ({}, [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12", [Dependency("afterany", ("12",), "12")]),
        ("12:13", [Dependency("afterany", ("12", "13"), "12:13")]),
        ("afterok:12:13", [Dependency("afterok", ("12", "13"), "afterok:12:13")]),
        (
            "afterok:12,afterany:14",
            [Dependency("afterok", ("12",), "afterok:12"), Dependency("afterany", ("14",), "afterany:14")],
        ),
        (
            "afterok:12?singleton",
            [
                Dependency("afterok", ("12",), "afterok:12", any_of=True),
                Dependency("singleton", (), "singleton", any_of=True),
            ],
        ),
        ("after:12+5:13", [Dependency("after", ("12", "13"), "after:12+5:13")]),
        ("aftercorr:12_3", [Dependency("aftercorr", ("12_3",), "aftercorr:12_3")]),
        ("singleton", [Dependency("singleton", (), "singleton")]),
        ("afterany:17_*(unfulfilled)", [Dependency("afterany", ("17",), "afterany:17_*")]),
        ("AfterOK:12", [Dependency("afterok", ("12",), "AfterOK:12")]),
        ("", []),
        (",?", []),
    ],
)
def test_dependencies(text: str, found: list[Dependency]) -> None:
    assert slurm.read_dependencies(text) == found
