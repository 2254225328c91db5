"""Fast and safe storage for torch.distributed.checkpoint (DCP): how the bytes get to disk and back.

    dcp.save(tensors, storage_writer=DirectWriter(folder))
    dcp.load(tensors, storage_reader=DirectReader(folder))

DCP decides which rank keeps which piece of which tensor, and after a change of the number of ranks
who needs what. This file does the rest. Nothing here depends on the training, and nothing is pickled:

    00000-of-00004.safetensors    the pieces that rank 0 keeps; any safetensors reader opens it
    index.json                    where each piece is, and the checksums; written last, so it marks the folder as whole

It is quicker than DCP's own storage, for reasons that blocks.py names.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from blocks import BLOCK, PAGE, Bytes, Damaged, Stored, read_file, write_file
from torch import Tensor
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import (
    LoadPlan,
    LoadPlanner,
    ReadItem,
    SavePlan,
    SavePlanner,
    WriteItemType,
)
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

INDEX = "index.json"
DTYPES = {  # torch's names and those of the safetensors format
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@dataclass(frozen=True)
class Piece:
    """A rectangular part of a tensor, and where it lies."""

    file: str
    start: int  # of its first byte in the file
    sizes: tuple[int, ...]
    dtype: torch.dtype


def as_bytes(tensor: Tensor) -> Bytes:
    """The memory of a contiguous tensor on the CPU; not a copy."""
    array: Bytes = tensor.detach().reshape(-1).view(torch.uint8).numpy()
    return array


# ---- writing ---------------------------------------------------------------------------------


class DirectWriter(StorageWriter):
    """Writes into ``folder``, which must be there and hold no checkpoint yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def reset(self, checkpoint_id: Any = None) -> None: ...

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None: ...

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        return False

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        for item in plan.items:
            if item.type == WriteItemType.BYTE_IO:
                # DCP would pickle it, and whoever loads a pickle runs whatever is in there.
                raise TypeError(f"{item.index.fqn} is no tensor; keep it as JSON, beside the checkpoint")
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """On rank 0: a file for each rank."""
        return [
            replace(plan, storage_data=f"{rank:05d}-of-{len(plans):05d}.safetensors")
            for rank, plan in enumerate(plans)
        ]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """On every rank: write the pieces that the plan gives to this one."""
        answer: Future[list[WriteResult]] = Future()
        answer.set_result([])
        if not plan.items:
            return answer
        tensors: list[Any] = [planner.resolve_data(item).detach() for item in plan.items]
        offsets = [tuple(item.index.offset or ()) for item in plan.items]
        header: dict[str, Any] = {}
        pieces: list[Piece] = []
        start = 0
        for item, tensor in zip(plan.items, tensors, strict=True):
            name = item.index.fqn
            if name in header:  # a rank can hold two pieces of one tensor
                name = f"{name}@{','.join(map(str, item.index.offset or ()))}"
            end = start + tensor.numel() * tensor.element_size()
            header[name] = {
                "dtype": DTYPES[tensor.dtype],
                "shape": list(tensor.shape),
                "data_offsets": [start, end],
            }
            pieces.append(Piece(plan.storage_data, start, tuple(tensor.shape), tensor.dtype))
            start = end
        # Where each piece belongs in its whole tensor, in the words of DCP's reader for this format.
        saved = {name: {"saved_offsets": list(place)} for name, place in zip(header, offsets, strict=True)}
        head = _safetensors_header(header | {"__metadata__": {"DCP_SHARDING_INFO": json.dumps(saved)}})
        data = (as_bytes(tensor.contiguous().cpu()) for tensor in tensors)  # one at a time, from a GPU
        stored = write_file(self.folder / plan.storage_data, _chain(head, data))
        answer = Future()
        answer.set_result(
            [
                WriteResult(
                    item.index, tensor.nbytes, (replace(piece, start=piece.start + len(head)), stored)
                )
                for item, tensor, piece in zip(plan.items, tensors, pieces, strict=True)
            ]
        )
        return answer

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """On rank 0, when all have written: the index."""
        files: dict[str, Stored] = {}
        tensors: dict[str, Any] = {}
        for result in (one for rank in results for one in rank):
            piece, stored = result.storage_data
            files[stored.name] = stored
            tensor = tensors.setdefault(
                result.index.fqn,
                {
                    "dtype": DTYPES[piece.dtype],
                    "size": list(metadata.state_dict_metadata[result.index.fqn].size),
                    "pieces": [],
                },
            )
            tensor["pieces"].append(
                {
                    "offsets": list(result.index.offset or ()),
                    "sizes": list(piece.sizes),
                    "file": piece.file,
                    "start": piece.start,
                }
            )
        index = {
            "block": BLOCK,
            "files": {name: {"size": one.size, "crc32": one.sums} for name, one in files.items()},
            "tensors": tensors,
        }
        with (self.folder / INDEX).open("x") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())


def _safetensors_header(entries: dict[str, Any]) -> Bytes:
    """Length and text, filled up with blanks so that the data begin on a page."""
    text = json.dumps(entries).encode()
    text += b" " * (-(len(text) + 8) % PAGE)
    return np.frombuffer(len(text).to_bytes(8, "little") + text, np.uint8)


def _chain(head: Bytes, rest: Iterable[Bytes]) -> Iterator[Bytes]:
    yield head
    yield from rest


# ---- reading ---------------------------------------------------------------------------------


class DirectReader(StorageReader):
    """Reads what ``DirectWriter`` wrote into ``folder``, on any number of ranks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pieces: dict[MetadataIndex, Piece] = {}
        self.files: dict[str, Stored] = {}

    def reset(self, checkpoint_id: Any = None) -> None: ...

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        return False

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The index, in DCP's words."""
        index = json.loads((self.folder / INDEX).read_text())
        if index["block"] != BLOCK:
            raise Damaged(f"{INDEX}: blocks of {index['block']} bytes; this program reads blocks of {BLOCK}")
        self.files = {
            name: Stored(name, one["size"], tuple(one["crc32"])) for name, one in index["files"].items()
        }
        dtypes = {name: dtype for dtype, name in DTYPES.items()}
        described: dict[str, Any] = {}
        for name, tensor in index["tensors"].items():
            dtype = dtypes[tensor["dtype"]]
            chunks = []
            for piece in tensor["pieces"]:
                chunks.append(ChunkStorageMetadata(torch.Size(piece["offsets"]), torch.Size(piece["sizes"])))
                self.pieces[MetadataIndex(name, piece["offsets"])] = Piece(
                    piece["file"], piece["start"], tuple(piece["sizes"]), dtype
                )
            described[name] = TensorStorageMetadata(
                TensorProperties(dtype), torch.Size(tensor["size"]), chunks
            )
        return Metadata(described)

    def set_up_storage_reader(
        self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any
    ) -> None: ...

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """On every rank: fill this rank's tensors."""
        wanted: dict[str, list[tuple[int, Bytes]]] = defaultdict(list)
        detours: list[tuple[ReadItem, Tensor]] = []
        for item in plan.items:
            piece = self.pieces[item.storage_index]
            target = planner.resolve_tensor(item).detach()
            row = int(np.prod(piece.sizes[1:], dtype=np.int64)) * piece.dtype.itemsize
            straight = (
                tuple(item.lengths[1:]) == piece.sizes[1:]  # whole rows: one stretch of the file
                and target.is_contiguous()
                and target.device.type == "cpu"
                and target.dtype == piece.dtype
            )
            if straight:
                start = piece.start + (item.storage_offsets[0] * row if piece.sizes else 0)
                wanted[piece.file].append((start, as_bytes(target)))
            else:
                whole = torch.empty(piece.sizes, dtype=piece.dtype)
                wanted[piece.file].append((piece.start, as_bytes(whole)))
                detours.append((item, whole))
        for name, places in wanted.items():
            read_file(self.folder / name, self.files[name], places)
        for item, whole in detours:
            part = tuple(
                slice(first, first + length)
                for first, length in zip(item.storage_offsets, item.lengths, strict=True)
            )
            planner.resolve_tensor(item).detach().copy_(whole[part])
        for item in plan.items:
            planner.commit_tensor(item, planner.resolve_tensor(item))
        answer: Future[None] = Future()
        answer.set_result(None)
        return answer
