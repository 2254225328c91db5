"""Adapting programs to an older glibc, tried on a program of this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab.errors import PackagesError
from hpclab.packages import elf

NEWER = """\
#include <stdio.h>
extern long __isoc23_strtol(const char *, char **, int);
int main(int count, char **words) { printf("%ld\\n", __isoc23_strtol(words[1], 0, 10)); return 0; }
"""

# Stands in for a newer libc.so.6: it gives the names the version that glibc 2.38 gives them.
LIBRARY = """\
long __isoc23_strtol(const char *text, char **end, int base) { return 0; }
long strtol_new(const char *text) { return 0; }
"""


@pytest.mark.parametrize(
    ("version", "new"),
    [
        ("GLIBC_2.2.5", False),
        ("GLIBC_2.36", False),
        ("GLIBC_2.38", True),
        ("GLIBC_2.100", True),
        ("GLIBC_3.0", True),
        ("GLIBC_ABI_DT_RELR", True),
        ("FUSE_3.17", False),
    ],
)
def test_too_new_compares_numbers_not_words(version: str, new: bool) -> None:
    assert elf.too_new(version, (2, 36)) is new


def program(folder: Path, source: str) -> Path:
    """A program that asks libc.so.6 for symbols of GLIBC_2.38, made with the machine's compiler."""
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    (folder / "new.c").write_text(LIBRARY)
    (folder / "new.map").write_text("GLIBC_2.38 { global: __isoc23_strtol; strtol_new; local: *; };")
    (folder / "main.c").write_text(source)
    stub = ["-shared", "-nostdlib", "-Wl,-soname,libX.so.6", "-Wl,--version-script=new.map"]
    for words in (
        ["gcc", "-w", *stub, "-o", "libnew.so", "new.c"],
        ["gcc", "-w", "-o", "main", "main.c", "./libnew.so", "-lc"],
    ):
        subprocess.run(words, cwd=folder, check=True, timeout=60)
    # The linker would drop a second libc, so it gets its name afterwards.
    path = folder / "main"
    path.write_bytes(path.read_bytes().replace(b"libX.so.6", b"libc.so.6"))
    return path


def versions(path: Path) -> list[str]:
    shown = subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=True, timeout=60)
    return re.findall(r"GLIBC_[\d.]+", shown.stdout)


def test_adapt_binds_the_c23_names_to_the_classic_ones(tmp_path: Path) -> None:
    pytest.importorskip("lief")
    path = program(tmp_path, NEWER)
    assert "GLIBC_2.38" in versions(path)
    assert elf.adapt(path, (2, 36)) is True
    assert "GLIBC_2.38" not in versions(path)
    done = subprocess.run([path, "42"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert elf.adapt(path, (2, 36)) is False


def test_adapt_leaves_a_file_alone_that_needs_more(tmp_path: Path) -> None:
    pytest.importorskip("lief")
    path = program(tmp_path, NEWER.replace("__isoc23_strtol(words[1], 0, 10)", "strtol_new(words[1])"))
    before = path.read_bytes()
    with pytest.raises(PackagesError, match=r"strtol_new.*glibc 2\.36"):
        elf.adapt(path, (2, 36))
    assert path.read_bytes() == before


def test_adapt_changes_nothing_where_the_c_library_is_new_enough(tmp_path: Path) -> None:
    pytest.importorskip("lief")
    path = program(tmp_path, NEWER)
    before = path.read_bytes()
    assert elf.adapt(path, (2, 38)) is False
    assert path.read_bytes() == before


def test_is_elf(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "program").write_bytes(b"\x7fELF\x02")
    (tmp_path / "link").symlink_to("program")
    assert [elf.is_elf(tmp_path / name) for name in ("script", "program", "link", "none")] == [
        False,
        True,
        False,
        False,
    ]


def test_the_command_prints_nothing_about_lief_as_it_ends() -> None:
    program = "import sys, lief; from hpclab import cli; sys.argv = ['hpclab', '--version']; cli.program()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("hpclab, version") and done.stderr == ""
