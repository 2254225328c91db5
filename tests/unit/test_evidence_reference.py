"""The reference page of ``evidence`` names all that the module exports, and every field of its records."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from hpclab import evidence


@pytest.fixture(scope="module")
def names(root: Path) -> set[str]:
    """Every identifier that stands in code on the page."""
    page = (root / "book/reference/evidence.md").read_text()
    code = " ".join(re.findall(r"`+([^`]+)`+", page))
    return set(re.findall(r"[A-Za-z_]\w*", code))


@pytest.mark.parametrize("name", evidence.__all__)
def test_every_export_is_on_the_page(name: str, names: set[str]) -> None:
    assert name in names


@pytest.mark.parametrize("record", [evidence.Job, evidence.Step, evidence.Usage, evidence.Dependency])
def test_every_field_of_a_record_is_on_the_page(record: type, names: set[str]) -> None:
    assert {field.name for field in fields(record)} <= names
