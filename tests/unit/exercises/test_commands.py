"""Commands are found in shell cells, batch scripts, code blocks and inline code."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from hpclab.exercises import commands

PROGRAMS = ("sbatch", "srun", "squeue", "apptainer", "hpclab")


def seen(cell: object) -> list[tuple[int, str, str]]:
    return [
        (command.line, " ".join(command.words), " ".join(command.options))
        for command in commands.extract_commands(cell, PROGRAMS)
    ]


def code(text: str) -> list[tuple[int, str, str]]:
    return seen(new_code_cell(text))


def text(markdown: str) -> list[tuple[int, str, str]]:
    return seen(new_markdown_cell(markdown))


def test_shell_lines_of_python_cells() -> None:
    assert code("x = 1\nfound = !squeue --me\n!sbatch --test-only a.sbatch") == [
        (1, "squeue", "--me"),
        (2, "sbatch", "--test-only"),
    ]
    assert code("subprocess.run(['squeue', '--me'])\n# squeue --me") == []


def test_whole_shell_cells_and_batch_scripts() -> None:
    assert code("%%bash\n# squeue --no\nid=$(sbatch --parsable a)\nif ! srun -n 1 true; then squeue; fi") == [
        (2, "sbatch", "--parsable"),
        (3, "srun", ""),
        (3, "squeue", ""),
    ]
    assert code("%%writefile a.sbatch\n#!/bin/bash\nsrun \\\n  --ntasks=2 python a.py --epochs 3") == [
        (2, "srun", "--ntasks")
    ]


def test_code_blocks_and_inline_code() -> None:
    assert text("Type `squeue --me`,\nor:\n\n```bash\nX=1 sbatch --hold a.sbatch\n```\n") == [
        (4, "sbatch", "--hold"),
        (0, "squeue", "--me"),
    ]
    assert text("The options of squeue --me are many; `--time=2` is sbatch's, `my-squeue --x` is not.") == []


@pytest.mark.parametrize(
    ("line", "words", "options"),
    [
        ('sbatch --wrap="squeue --nothing; ls --all" --hold', "sbatch", "--wrap --hold"),
        ("srun -N 2 --exclusive python a.py --epochs 3", "srun", "--exclusive"),
        ("srun --mpi pmix apptainer exec a.sif ls --color", "srun", "--mpi"),
        ("squeue --me | grep --invert-match x", "squeue", "--me"),
        ("squeue --name $(echo --x) --me", "squeue", "--name --me"),
        ("squeue --me  # not --this", "squeue", "--me"),
        (
            "apptainer exec --nv --bind /a:/b a.sif python a.py --epochs 3",
            "apptainer exec a.sif",
            "--nv --bind",
        ),
        ("hpclab exec --node nid001 -- squeue", "hpclab exec", "--node"),
    ],
)
def test_options_belong_to_the_program_that_reads_them(line: str, words: str, options: str) -> None:
    assert code(f"!{line}")[0][1:] == (words, options)


def test_a_manual_page_names_options() -> None:
    page = r".TP\n\fB\-\-array\fR=<\fIindexes\fR>, \fB\-\-no\-kill\fR and \-a"
    assert commands.extract_options(page) == {"--array", "--no-kill"}
