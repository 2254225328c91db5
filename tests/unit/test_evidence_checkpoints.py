"""Checkpoints are read as data: complete and truncated files, and pickles that must not run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from hpclab import evidence


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def safetensors(path: Path, arrays: dict[str, np.ndarray], **texts: str) -> bytes:
    """A file as the format's description has it."""
    kinds = {"float32": "F32", "float64": "F64", "int64": "I64", "bool": "BOOL", "uint8": "U8"}
    header: dict[str, object] = {"__metadata__": texts} if texts else {}
    data = b""
    for name, array in arrays.items():
        raw = array.tobytes()
        header[name] = {
            "dtype": kinds[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    whole = len(text).to_bytes(8, "little") + text + data
    path.write_bytes(whole)
    return whole


ARRAYS = {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.array([True, False]), "c": np.array(7)}


def test_tensors_come_back_bit_for_bit(here: Path) -> None:
    safetensors(here / "w.safetensors", ARRAYS, step="40")
    found = evidence.tensors("w.safetensors")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].shape == array.shape
        assert np.array_equal(found[name].values, array)
    assert evidence.metadata("w.safetensors") == {"step": "40"}


def test_a_single_bit_is_a_difference(here: Path) -> None:
    whole = safetensors(here / "one.safetensors", ARRAYS)
    (here / "other.safetensors").write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    one, other = evidence.tensors("one.safetensors"), evidence.tensors("other.safetensors")
    assert evidence.first_difference(one, one) == ""
    assert evidence.first_difference(one, other) == "b"
    assert evidence.first_difference(one, {}) == "a"


def test_minus_zero_is_not_zero(here: Path) -> None:
    safetensors(here / "p.safetensors", {"x": np.array([0.0])})
    safetensors(here / "m.safetensors", {"x": np.array([-0.0])})
    assert (
        evidence.first_difference(evidence.tensors("p.safetensors"), evidence.tensors("m.safetensors")) == "x"
    )


@pytest.mark.parametrize("length", [0, 4, 8, 30, -1])
def test_truncated_file_fails(here: Path, length: int) -> None:
    whole = safetensors(here / "w.safetensors", ARRAYS)
    (here / "w.safetensors").write_bytes(whole[:length])
    with pytest.raises(evidence.CheckFailed, match=r"is not complete|is damaged"):
        evidence.tensors("w.safetensors")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]},
        {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1]},
        {"dtype": "F32", "shape": [1] * 17, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**9] * 300_000, "data_offsets": [0, 4]},  # minutes to multiply
        [],
        None,
    ],
)
def test_invalid_header_fails(here: Path, entry: object) -> None:
    text = json.dumps({"x": entry}).encode()
    (here / "w.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(evidence.CheckFailed, match="'x'"):
        evidence.tensors("w.safetensors")


def test_json_lines_keeps_floats_and_skips_a_torn_line(here: Path) -> None:
    losses = [0.1 + 0.2, 1e-310, 2**0.5]
    rows = [json.dumps({"step": step, "loss": loss}) for step, loss in enumerate(losses, 1)]
    (here / "loss.jsonl").write_text("\n".join(rows) + '\n\n{"step": 4, "lo')
    found = evidence.json_lines("loss.jsonl", step=int, loss=float)
    assert [row["loss"] for row in found] == losses


@pytest.mark.parametrize(
    ("row", "says"),
    [("[1]", "not a JSON object"), ("nonsense", "not a JSON object"), ('{"step": "1"}', "'step'")],
)
def test_invalid_json_line_fails(here: Path, row: str, says: str) -> None:
    (here / "loss.jsonl").write_text(f'{{"step": 1}}\n{row}\n')
    with pytest.raises(evidence.CheckFailed, match=f"line 2.*{says}|{says}.*line 2"):
        evidence.json_lines("loss.jsonl", step=int)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_names_are_read_without_running_the_pickle(here: Path, protocol: int) -> None:
    (here / "gift.pkl").write_bytes(pickle.dumps({"epoch": 3, "w": [Bomb(), Bomb()]}, protocol))
    names = evidence.pickled_names("gift.pkl")
    assert any(name.endswith(("Path.touch", "getattr")) for name in names)
    assert not (here / "ran").exists()


def test_torch_checkpoint_has_only_torch_names(here: Path) -> None:
    torch.save({"model": {"w": torch.ones(3)}, "step": 4, "python": (3, (1, 2), None)}, here / "good.pt")
    assert evidence.pickled_names("good.pt") <= {
        "torch._utils._rebuild_tensor_v2",
        "torch.FloatStorage",
        "collections.OrderedDict",
    }
    torch.save({"w": torch.ones(3), "extra": Bomb()}, here / "bad.pt")
    assert any("pathlib" in name or "getattr" in name for name in evidence.pickled_names("bad.pt"))
    assert not (here / "ran").exists()


def test_computed_name_is_a_question_mark(here: Path) -> None:
    program = (
        pickle.PROTO + b"\x04" + b"I1\n" + pickle.SHORT_BINUNICODE + b"\x01x" + pickle.STACK_GLOBAL + b"."
    )
    (here / "odd.pkl").write_bytes(program)
    assert evidence.pickled_names("odd.pkl") == {"?"}


@pytest.mark.parametrize("content", [b"", b"PK\3\4 torn", b"\x80\x04no pickle at all", b"hello"])
def test_file_that_is_no_pickle_fails(here: Path, content: bytes) -> None:
    (here / "x.pt").write_bytes(content)
    with pytest.raises(evidence.CheckFailed, match="is not a complete pickle"):
        evidence.pickled_names("x.pt")
