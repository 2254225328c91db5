"""Bind a program that was linked against a newer C library to the older one of this machine.

From glibc 2.38 on, ``strtol`` and its relatives are linked as ``__isoc23_strtol``: the same function
that also reads "0b101" in base 0. A program whose only newer symbols are these runs on an older
glibc as soon as it asks for the classic names.
"""

from __future__ import annotations

import re
from pathlib import Path

from hpclab.errors import PackagesError

_C23 = "__isoc23_"


def is_elf(path: Path) -> bool:
    """Whether the file is a program or library."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def too_new(version: str, glibc: tuple[int, ...]) -> bool:
    """Whether the symbol version, such as ``GLIBC_2.38``, is beyond ``glibc``."""
    found = re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", version)
    if not found:
        return version.startswith("GLIBC_ABI_")  # a feature that such a loader does not know
    return tuple(map(int, found[1].split("."))) > glibc


def adapt(path: Path, glibc: tuple[int, ...]) -> bool:
    """Make the file usable with ``glibc`` in place; False if it was so already.

    Raises PackagesError, the file untouched, if it needs a newer symbol that has no older equal.
    """
    # Heavy, and only needed while packages are made.
    import lief

    program = lief.ELF.parse(path)
    if program is None:
        raise PackagesError(f"{path.name} is not a readable ELF file", "Download it again.")
    wanted = [
        (needed, version)
        for needed in program.symbols_version_requirement
        for version in needed.get_auxiliary_symbols()
        if too_new(str(version.name), glibc)
    ]
    if not wanted:
        return False
    names = {str(version.name) for _, version in wanted}
    rest = []
    for symbol in program.dynamic_symbols:
        version = symbol.symbol_version
        auxiliary = version.symbol_version_auxiliary if version else None
        if version is None or auxiliary is None or str(auxiliary.name) not in names:
            continue
        if (name := str(symbol.name)).startswith(_C23):
            symbol.name = name.removeprefix(_C23)
            version.as_global()
        else:
            rest.append(name)
    if rest or any(name.startswith("GLIBC_ABI_") for name in names):
        raise PackagesError(
            f"{path.name} needs {', '.join(sorted(rest) or sorted(names))}, "
            f"which glibc {'.'.join(map(str, glibc))} does not have",
            "Use a machine with a newer distribution, or install Apptainer from its project's own packages.",
        )
    for needed, auxiliary in wanted:
        needed.remove_aux_requirement(auxiliary)
    program.write(str(path))
    return True
