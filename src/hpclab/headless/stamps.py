"""Digests of what a run was made from. With an equal stamp, running again is not needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path


def stamp(**parts: object) -> dict[str, str]:
    """A hash for each part: of bytes, of the contents of files and folders (a list of paths), of values as JSON."""
    return {name: _hash(value) for name, value in parts.items()}


def changed_parts(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The names of the parts in which two stamps differ."""
    return [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]


def _hash(value: object) -> str:
    digest = hashlib.sha256()
    if isinstance(value, bytes):
        digest.update(value)
    elif isinstance(value, list) and all(isinstance(item, Path) for item in value):
        for name, data in _read_files(value):
            digest.update(f"{name}\0{len(data)}\0".encode())
            digest.update(data)
    else:
        digest.update(json.dumps(value, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _read_files(paths: Iterable[Path]) -> Iterable[tuple[str, bytes]]:
    for top in paths:
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(top.parent)), path.read_bytes()
