"""Read checkpoints and loss curves that the learner's job wrote as data, without running anything in them.

A safetensors file is a JSON header and raw numbers. A file of ``torch.save`` holds a pickle, which
can run code when it is loaded; here only the names that it would import are read.
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
from hpclab.evidence.files import TYPE_NAMES, is_type, open_regular, shorten

if TYPE_CHECKING:
    import numpy

MAX_TENSOR_BYTES = 1 << 30
MAX_AXES = 16
MAX_HEADER_BYTES = 16 << 20
MAX_PICKLE_BYTES = 64 << 20
MAX_LINES_BYTES = 20 << 20
# dtype of safetensors: (bytes of one number, numpy's name or "" if numpy has no such type).
DTYPES = {
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
EXPECTED_FORMAT = "a complete safetensors file: 8 bytes length, a JSON header, the numbers"


@dataclass(frozen=True)
class Tensor:
    """A tensor as stored in the file. Two are equal if they are equal bit for bit, including NaN and the sign of zero."""

    kind: str  # as safetensors calls it: "F32", "I64", …
    shape: tuple[int, ...]
    data: bytes

    @property
    def values(self) -> numpy.ndarray[Any, Any]:
        """The numbers as a read-only numpy array. Raises CheckFailed for a type that numpy does not have."""
        import numpy

        name = DTYPES[self.kind][1]
        check(name, f"a tensor of the type {self.kind}", "a type that numpy has")
        return numpy.frombuffer(self.data, dtype=name).reshape(self.shape)


def tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return every tensor of a safetensors file by its name."""
    shown = os.fspath(path)
    data = memoryview(_read_file(path, MAX_TENSOR_BYTES))
    header, start = _parse_header(data, shown)
    header.pop("__metadata__", None)
    return {name: _parse_tensor(name, entry, data[start:], shown) for name, entry in header.items()}


def metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata of a safetensors file; often empty."""
    header, _ = _parse_header(memoryview(_read_file(path, MAX_TENSOR_BYTES)), os.fspath(path))
    texts = header.get("__metadata__")
    return {str(name): str(text) for name, text in texts.items()} if isinstance(texts, dict) else {}


def first_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> str:
    """Return the name of the first tensor that differs in any bit or is in one of them only; empty if there is none."""
    return next((name for name in sorted({*first, *second}) if first.get(name) != second.get(name)), "")


def json_lines(path: str | os.PathLike[str], /, **fields: type) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file; each must have at least ``fields``, by name and type.

    An incomplete last line, as a killed program leaves it, is skipped. A float that Python wrote is read back
    exactly.
    """
    shown = os.fspath(path)
    rows = _read_file(path, MAX_LINES_BYTES).decode(errors="replace").split("\n")
    values = []
    for number, row in enumerate(rows[:-1], 1):
        if not row.strip():
            continue
        try:
            value = json.loads(row)
        except (ValueError, RecursionError):
            value = None
        look = f"sed -n {number}p {shown}"
        check(
            isinstance(value, dict),
            f"line {number} of {shown} is not a JSON object",
            "one on each line",
            look,
        )
        for name, kind in fields.items():
            check(name in value, f"line {number} of {shown} has no {name!r}", TYPE_NAMES[kind], look)
            wrong = f"{name!r} in line {number} of {shown} is {shorten(value[name])}"
            check(is_type(value[name], kind), wrong, TYPE_NAMES[kind], look)
        values.append(value)
    return values


def pickled_names(path: str | os.PathLike[str]) -> set[str]:
    """Return the names that a pickle or a file of ``torch.save`` would import when loaded, as ``module.name``.

    Nothing is imported or run. A name that is computed only while the pickle loads is returned as ``?``.
    """
    shown = os.fspath(path)
    with os.fdopen(open_regular(path), "rb") as file:
        start = file.read(4)
        file.seek(0)
        try:
            data = _read_zipped_pickle(file, shown) if start == b"PK\3\4" else file.read(MAX_PICKLE_BYTES)
            return _imported_names(data)
        except (zipfile.BadZipFile, pickle.UnpicklingError, ValueError, EOFError, OSError) as problem:
            raise CheckFailed(
                f"{shown} is not a complete pickle ({str(problem)[:80]})",
                "a file of torch.save or pickle",
                f"ls -l {shown}",
            ) from None


def _read_zipped_pickle(file: io.BufferedReader, shown: str) -> bytes:
    with zipfile.ZipFile(file) as archive:
        members = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
        check(
            members, f"{shown} is an archive without a data.pkl", "a file of torch.save", f"unzip -l {shown}"
        )
        with archive.open(members[0]) as member:
            return member.read(MAX_PICKLE_BYTES)


def _imported_names(data: bytes) -> set[str]:
    """The names that the opcodes of a pickle import. Strings are followed through the memo; computed ones are not."""
    names: set[str] = set()
    texts: list[str] = []  # in the order in which they were pushed
    memo: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            names.add(str(argument).replace(" ", "."))
        elif name == "STACK_GLOBAL":
            names.add(".".join(texts[-2:]) if len(texts) > 1 and "?" not in texts[-2:] else "?")
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
    return names


def _read_file(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    shown = os.fspath(path)
    with os.fdopen(open_regular(path), "rb") as file:
        data = file.read(max_bytes + 1)
    check(
        len(data) <= max_bytes,
        f"{shown} is larger than {max_bytes} bytes",
        "a smaller file",
        f"ls -l {shown}",
    )
    return data


def _parse_header(data: memoryview, shown: str) -> tuple[dict[str, Any], int]:
    """The JSON header of a safetensors file, and the offset of the numbers."""
    length = int.from_bytes(data[:8], "little")
    look = f"ls -l {shown}"
    max_bytes = min(MAX_HEADER_BYTES, len(data) - 8)
    check(0 < length <= max_bytes, f"{shown} is not complete", EXPECTED_FORMAT, look)
    try:
        header = json.loads(bytes(data[8 : 8 + length]))
    except (ValueError, RecursionError):
        header = None
    check(isinstance(header, dict), f"{shown} has no JSON header", EXPECTED_FORMAT, look)
    return header, 8 + length


def _parse_tensor(name: str, entry: Any, data: memoryview, shown: str) -> Tensor:
    try:
        kind, shape = entry["dtype"], tuple(map(int, entry["shape"][:MAX_AXES]))
        begin, end = entry["data_offsets"]
        count = DTYPES[kind][0]
        for size in shape:
            count *= size
        valid = len(entry["shape"]) <= MAX_AXES and min(shape, default=0) >= 0
        valid = valid and 0 <= begin <= end <= len(data) and end - begin == count
    except (KeyError, TypeError, ValueError):
        valid = False
    check(valid, f"the tensor {name[:60]!r} of {shown} is damaged", EXPECTED_FORMAT, f"ls -l {shown}")
    return Tensor(kind, shape, bytes(data[begin:end]))
