"""Checkpoints and loss curves that a learner's job wrote, read as data: nothing in them is ever run.

A safetensors file is a JSON header and raw numbers. A file of ``torch.save`` holds a pickle, a small program;
it is not loaded here, only looked at for the names that it would import.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import pickletools
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpclab.evidence.checks import CheckFailed, check
from hpclab.evidence.files import KINDS, _is, _opened, _short

if TYPE_CHECKING:
    import numpy

MOST_TENSOR_BYTES = 1 << 30
MOST_AXES = 16
MOST_HEADER_BYTES = 16 << 20
MOST_PICKLE_BYTES = 64 << 20
MOST_LINE_BYTES = 20 << 20
# safetensors' name of a type: bytes of one number, numpy's name ("" where numpy has none).
TYPES = {
    "BOOL": (1, "?"),
    "U8": (1, "u1"),
    "I8": (1, "i1"),
    "U16": (2, "<u2"),
    "I16": (2, "<i2"),
    "U32": (4, "<u4"),
    "I32": (4, "<i4"),
    "U64": (8, "<u8"),
    "I64": (8, "<i8"),
    "F8_E4M3": (1, ""),
    "F8_E5M2": (1, ""),
    "F16": (2, "<f2"),
    "BF16": (2, ""),
    "F32": (4, "<f4"),
    "F64": (8, "<f8"),
}
SAFE = "a whole safetensors file: 8 bytes length, a JSON header, the numbers"


@dataclass(frozen=True)
class Tensor:
    """Numbers as they lie in the file. Equal tensors are equal bit for bit, NaN and the sign of zero too."""

    kind: str  # as safetensors calls it: "F32", "I64", …
    shape: tuple[int, ...]
    data: bytes

    @property
    def values(self) -> numpy.ndarray[Any, Any]:
        """The numbers for numpy, not to be written to; fails for types that numpy does not have."""
        import numpy

        name = TYPES[self.kind][1]
        check(name, f"a tensor of the type {self.kind}", "a type that numpy has")
        return numpy.frombuffer(self.data, dtype=name).reshape(self.shape)


def tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, by its name."""
    shown = os.fspath(path)
    data = memoryview(_content(path, MOST_TENSOR_BYTES))
    header, start = _header(data, shown)
    header.pop("__metadata__", None)
    return {name: _tensor(name, entry, data[start:], shown) for name, entry in header.items()}


def metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that a safetensors file carries beside its tensors; often none."""
    header, _ = _header(memoryview(_content(path, MOST_TENSOR_BYTES)), os.fspath(path))
    texts = header.get("__metadata__")
    return {str(name): str(text) for name, text in texts.items()} if isinstance(texts, dict) else {}


def first_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> str:
    """The name of the first tensor that differs in any bit or is in one of them only; empty if none does."""
    return next((name for name in sorted({*one, *other}) if one.get(name) != other.get(name)), "")


def json_lines(path: str | os.PathLike[str], /, **fields: type) -> list[dict[str, Any]]:
    """The objects in a file with one JSON object a line, each with at least ``fields``.

    The last line may be torn, as a killed program leaves it; it is left out then. A number that Python wrote
    comes back with every bit.
    """
    shown = os.fspath(path)
    rows = _content(path, MOST_LINE_BYTES).decode(errors="replace").split("\n")
    found = []
    for number, row in enumerate(rows[:-1], 1):
        if not row.strip():
            continue
        try:
            value = json.loads(row)
        except (ValueError, RecursionError):
            value = None
        look = f"sed -n {number}p {shown}"
        check(
            isinstance(value, dict), f"line {number} of {shown} is no JSON object", "one on each line", look
        )
        for name, kind in fields.items():
            check(name in value, f"line {number} of {shown} has no {name!r}", KINDS[kind], look)
            said = f"{name!r} in line {number} of {shown} is {_short(value[name])}"
            check(_is(value[name], kind), said, KINDS[kind], look)
        found.append(value)
    return found


def pickled_names(path: str | os.PathLike[str]) -> set[str]:
    """What a pickle, or a file of ``torch.save``, would import when it is unpickled, as ``module.name``.

    Nothing is imported and nothing run. A name that only shows when the pickle runs comes as ``?``.
    """
    shown = os.fspath(path)
    with os.fdopen(_opened(path), "rb") as file:
        start = file.read(4)
        file.seek(0)
        try:
            data = _pickle_in_zip(file, shown) if start == b"PK\3\4" else file.read(MOST_PICKLE_BYTES)
            return _names(data)
        except (zipfile.BadZipFile, pickle.UnpicklingError, ValueError, EOFError, OSError) as problem:
            raise CheckFailed(
                f"{shown} is no whole pickle ({str(problem)[:80]})",
                "a file of torch.save or pickle",
                f"ls -l {shown}",
            ) from None


def _pickle_in_zip(file: io.BufferedReader, shown: str) -> bytes:
    with zipfile.ZipFile(file) as archive:
        inside = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
        check(
            inside, f"{shown} is an archive without a data.pkl", "a file of torch.save", f"unzip -l {shown}"
        )
        with archive.open(inside[0]) as member:
            return member.read(MOST_PICKLE_BYTES)


def _names(data: bytes) -> set[str]:
    """The names that the opcodes of a pickle import. Texts are followed through the memo, computed ones are not."""
    found: set[str] = set()
    texts: list[str] = []  # as they were pushed, newest last
    memo: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            found.add(str(argument).replace(" ", "."))
        elif name == "STACK_GLOBAL":
            found.add(".".join(texts[-2:]) if len(texts) > 1 and "?" not in texts[-2:] else "?")
        elif name in ("PUT", "BINPUT", "LONG_BINPUT") and texts:
            memo[int(str(argument))] = texts[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = texts[-1] if texts else "?"
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            texts.append(memo.get(int(str(argument)), "?"))
        elif isinstance(argument, str):
            texts.append(argument)
        elif opcode.stack_after and name != "MARK":
            texts.append("?")
    return found


def _content(path: str | os.PathLike[str], most: int) -> bytes:
    shown = os.fspath(path)
    with os.fdopen(_opened(path), "rb") as file:
        data = file.read(most + 1)
    check(len(data) <= most, f"{shown} is larger than {most} bytes", "a small one", f"ls -l {shown}")
    return data


def _header(data: memoryview, shown: str) -> tuple[dict[str, Any], int]:
    """The JSON header of a safetensors file, and where the numbers begin."""
    length = int.from_bytes(data[:8], "little")
    look = f"ls -l {shown}"
    most = min(MOST_HEADER_BYTES, len(data) - 8)
    check(0 < length <= most, f"{shown} is not whole", SAFE, look)
    try:
        header = json.loads(bytes(data[8 : 8 + length]))
    except (ValueError, RecursionError):
        header = None
    check(isinstance(header, dict), f"{shown} has no JSON header", SAFE, look)
    return header, 8 + length


def _tensor(name: str, entry: Any, data: memoryview, shown: str) -> Tensor:
    try:
        kind, shape = entry["dtype"], tuple(map(int, entry["shape"][:MOST_AXES]))
        begin, end = entry["data_offsets"]
        count = TYPES[kind][0]
        for size in shape:
            count *= size
        sound = len(entry["shape"]) <= MOST_AXES and min(shape, default=0) >= 0
        sound = sound and 0 <= begin <= end <= len(data) and end - begin == count
    except (KeyError, TypeError, ValueError):
        sound = False
    check(sound, f"the tensor {name[:60]!r} of {shown} is not whole", SAFE, f"ls -l {shown}")
    return Tensor(kind, shape, bytes(data[begin:end]))
