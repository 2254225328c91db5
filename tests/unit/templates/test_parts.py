"""The parts of the training one by one: batches, random state, storage, signals, story."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp

from hpclab.evidence import checkpoints as evidence

from .conftest import PATIENCE, QUIET, SMALL, TEMPLATES

Module = Callable[[str], ModuleType]
pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


# ---- batches ---------------------------------------------------------------------------------


class Keys:
    """A dataset whose samples are their keys."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, key: tuple[int, int]) -> Any:
        return torch.tensor(key)


def taken(batches: Any) -> list[list[tuple[int, int]]]:
    return [[tuple(key) for key in batch.tolist()] for batch in batches]


def joined(parts: Iterable[list[Any]]) -> list[Any]:
    return [one for part in parts for one in part]


def test_ranks_share_each_batch(module: Module) -> None:
    make = module("loader").Batches
    whole = taken(make(Keys(50), 12, seed=3))
    assert len(whole) == 4, "what does not fill a batch is left out"
    assert len({key for batch in whole for key in batch}) == 48
    shares = [taken(make(Keys(50), 12, 3, rank, 3)) for rank in range(3)]
    assert [joined(parts) for parts in zip(*shares, strict=True)] == whole


def test_every_epoch_has_an_order_of_its_own(module: Module) -> None:
    batches = module("loader").Batches(Keys(48), 12, seed=3)
    first = taken(batches)
    assert taken(batches) == [], "the epoch is over till the next one begins"
    batches.next_epoch()
    second = taken(batches)
    assert {key[0] for batch in second for key in batch} == {1}
    assert [key[1] for key in joined(first)] != [key[1] for key in joined(second)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_position_goes_on_with_any_number_of_ranks(module: Module, workers: int) -> None:
    """Batches that workers fetched ahead are not counted as seen."""
    make = module("loader").Batches
    whole = taken(make(Keys(48), 12, 3))
    some = make(Keys(48), 12, 3, workers=workers)
    reader = iter(some)
    next(reader)
    state = json.loads(json.dumps(some.state_dict()))
    reader.close()  # type: ignore[attr-defined]
    rest = [make(Keys(48), 12, 3, rank, 2) for rank in range(2)]
    for one in rest:
        one.load_state_dict(state)
    assert [joined(parts) for parts in zip(*map(taken, rest), strict=True)] == whole[1:]


def test_a_new_iterator_draws_no_random_number(module: Module) -> None:
    batches = module("loader").Batches(Keys(48), 12, 3)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    next(iter(batches))
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_that_cannot_be_shared(module: Module) -> None:
    with pytest.raises(ValueError, match="batch of 10 cannot be shared evenly by 3"):
        module("loader").Batches(Keys(48), 10, 3, 0, 3)


def test_a_curve_depends_on_its_key_only(module: Module) -> None:
    curves = module("lightcurves").LightCurves(30, seed=1)
    random.seed(0)
    torch.manual_seed(0)
    first = curves[2, 7]
    random.seed(1)
    torch.manual_seed(1)
    again = module("lightcurves").LightCurves(90, seed=1)[2, 7]
    assert torch.equal(first[0], again[0]) and first[1] == again[1] == 7 % 3
    assert not torch.equal(first[0], curves[3, 7][0]), "new noise in every epoch"


def test_a_width_for_a_number_of_parameters(module: Module) -> None:
    lightcurves = module("lightcurves")
    width = lightcurves.width_for(10_000_000, 3)
    count = sum(one.numel() for one in lightcurves.Classifier(width, 3).parameters())
    assert 0.95 < count / 10_000_000 < 1.05


# ---- random state ----------------------------------------------------------------------------


def drawn() -> tuple[Any, ...]:
    return (random.random(), random.gauss(0, 1), np.random.rand(), np.random.normal(), torch.rand(2).tolist())


@pytest.mark.parametrize("half_pair", [False, True])
def test_all_generators_go_on(module: Module, half_pair: bool) -> None:
    state = module("state")
    state.seed_everything([1, 2])
    if half_pair:  # normal numbers are made in pairs, and one is kept
        random.gauss(0, 1)
        np.random.normal()
    saved = state.random_state()
    assert all(isinstance(tensor, torch.Tensor) for tensor in saved.values())
    expected = drawn()
    state.seed_everything([3])
    assert drawn() != expected
    state.set_random_state(saved)
    assert drawn() == expected


def test_an_optimizer_that_has_not_taken_a_step(module: Module) -> None:
    """DCP wants its moments to be there; torch makes them by a pretended step, which must not count."""
    model = torch.nn.Linear(3, 2)
    before = [one.detach().clone() for one in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    batches = module("loader").Batches(Keys(4), 2, 0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    state = module("state").TrainingState(model, optimizer, scheduler, scaler, batches)
    moments = state.tensors()["optimizer"]
    assert set(moments) == {"weight", "bias"}
    assert all(not tensor.any() for of in moments.values() for tensor in of.values())
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


# ---- storage ---------------------------------------------------------------------------------


@pytest.fixture
def storage(module: Module, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """With blocks of two pages, so that small tensors have many."""
    found, blocks = module("storage"), module("blocks")
    for one in (found, blocks):
        monkeypatch.setattr(one, "BLOCK", 2 * blocks.PAGE)
    monkeypatch.setattr(blocks, "_idle", [])
    yield found


def some_tensors() -> dict[str, Any]:
    torch.manual_seed(0)
    kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
    found: dict[str, Any] = {str(kind).split(".")[1]: torch.randn(37, 53).to(kind) for kind in kinds}
    found |= {
        "int64": torch.arange(-5, 4000),
        "bool": torch.rand(77) > 0.5,
        "number": torch.tensor(3.5),
        "nothing": torch.empty(0, 4),
        "turned": torch.randn(40, 90).T,
        "nested": {"special": torch.tensor([float("nan"), -0.0, float("inf")])},
    }
    return found


def zeros_like(tensors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: zeros_like(one) if isinstance(one, dict) else torch.zeros_like(one)
        for name, one in tensors.items()
    }


def bits(tensors: dict[str, Any]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, one in tensors.items():
        if isinstance(one, dict):
            found |= bits({f"{name}.{inner}": tensor for inner, tensor in one.items()})
        else:
            found[name] = one.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return found


def test_tensors_come_back_bit_for_bit(storage: ModuleType, tmp_path: Path) -> None:
    tensors = some_tensors()
    dcp.save(tensors, storage_writer=storage.DirectWriter(tmp_path), no_dist=True)
    loaded = zeros_like(tensors)
    dcp.load(loaded, storage_reader=storage.DirectReader(tmp_path), no_dist=True)
    assert bits(loaded) == bits(tensors)


def test_a_shard_is_a_safetensors_file(storage: ModuleType, tmp_path: Path) -> None:
    tensors = some_tensors()
    dcp.save(tensors, storage_writer=storage.DirectWriter(tmp_path), no_dist=True)
    path = tmp_path / "00000-of-00001.safetensors"
    found = evidence.tensors(path)  # a reader of its own
    assert {name: one.data for name, one in found.items()} == bits(tensors)
    places = json.loads(evidence.metadata(path)["DCP_SHARDING_INFO"])
    assert places["float32"] == {"saved_offsets": [0, 0]}


def test_a_file_system_without_direct_access(
    storage: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refusing(path: Any, flags: int, *more: Any) -> int:
        if flags & os.O_DIRECT:
            if flags & os.O_CREAT:
                os.close(
                    real(path, flags & ~os.O_DIRECT, *more)
                )  # as Linux does: the file is made, then EINVAL
            raise OSError(22, "Invalid argument")
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", refusing)
    test_tensors_come_back_bit_for_bit(storage, tmp_path)


def test_a_write_that_stops_half_way_goes_on(
    storage: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(
        os, "pwrite", lambda descriptor, data, start: real(descriptor, data[: storage.PAGE], start)
    )
    test_tensors_come_back_bit_for_bit(storage, tmp_path)


def test_damage_is_found_in_the_block_where_it_is(storage: ModuleType, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, 5 * storage.BLOCK + 100, dtype=np.uint8)
    path = tmp_path / "file"
    stored = storage.write_file(path, [data[:70], data[70:]])
    assert stored.size == len(data) == path.stat().st_size and len(stored.sums) == 6
    with path.open("r+b") as file:
        file.seek(2 * storage.BLOCK + 5)
        file.write(bytes([data[2 * storage.BLOCK + 5] ^ 1]))
    target = np.empty(storage.BLOCK, np.uint8)
    storage.read_file(path, stored, [(3 * storage.BLOCK, target)])
    assert (target == data[3 * storage.BLOCK : 4 * storage.BLOCK]).all()
    first = 2 * storage.BLOCK
    with pytest.raises(storage.Damaged, match=f"bytes {first} to {first + storage.BLOCK} is wrong"):
        storage.read_file(path, stored, [(0, np.empty(len(data), np.uint8))])


def test_what_is_no_tensor_is_refused(storage: ModuleType, tmp_path: Path) -> None:
    """DCP would pickle it."""
    with pytest.raises(dcp.api.CheckpointException, match="rate is no tensor"):
        dcp.save({"rate": 0.1}, storage_writer=storage.DirectWriter(tmp_path), no_dist=True)


def test_nothing_in_the_templates_unpickles() -> None:
    texts = {path.name: path.read_text() for path in TEMPLATES.glob("*.py")}
    assert "checkpoint.py" in texts
    assert not [name for name, text in texts.items() if "torch.load(" in text or "import pickle" in text]


# ---- signals ---------------------------------------------------------------------------------


def test_the_first_signal_counts(module: Module) -> None:
    stop = module("stop")
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)}
    try:
        flag = stop.StopFlag()
        assert flag.agreed() == ""
        for number in (signal.SIGUSR1, signal.SIGCONT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert flag.agreed() == "SIGUSR1"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_signal_before_torch_is_there(tmp_path: Path) -> None:
    """The import takes seconds. Here the program gets its signal in the first of them."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            sys.meta_path.remove(self)\n"
        "            os.kill(os.getpid(), signal.SIGUSR1)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    done = subprocess.run(
        [sys.executable, TEMPLATES / "train_resumable.py", *SMALL],
        cwd=tmp_path,
        env=os.environ | QUIET | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    assert "stopped by SIGUSR1 after step 0" in done.stdout


# ---- the story -------------------------------------------------------------------------------


def test_goodput(module: Module, tmp_path: Path) -> None:
    attempts = module("attempts")
    events = [
        {"event": "start", "time": 100.0, "attempt": 1, "step": 0},
        {"event": "save", "time": 103.0, "attempt": 1, "step": 2, "blocked": 0.5, "seconds": 2.0},
        {"event": "start", "time": 120.0, "attempt": 2, "step": 2},
    ]
    steps = [(1, 1, 101.0), (1, 2, 102.0), (1, 3, 104.0), (2, 3, 121.0), (2, 4, 122.0)]
    (tmp_path / "goodput.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    (tmp_path / "losses.jsonl").write_text(
        "".join(
            json.dumps({"attempt": attempt, "step": step, "loss": 1.0, "seconds": 1.0, "time": time}) + "\n"
            for attempt, step, time in steps
        )
        + '{"attempt": 2, "st'  # killed here
    )
    found = attempts.goodput(tmp_path)
    assert found == attempts.Goodput(
        attempts=2, steps=4, lost_steps=1, wall=22.0, useful=4.0, lost=1.0, saving=0.5, restarting=16.5
    )
    assert found.fraction == pytest.approx(4 / 22)


def test_a_line_that_was_cut_off_costs_no_other(module: Module, tmp_path: Path) -> None:
    attempts = module("attempts")
    (tmp_path / "losses.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    story = attempts.Story(tmp_path)
    story.step(2, 0.1 + 0.2, 0.0)
    assert story.losses() == [0.5, 0.1 + 0.2]


def test_a_full_disk_does_not_end_a_story(
    module: Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = module("attempts").Story(tmp_path / "not there")
    story.step(1, 0.5, 0.1)
    assert "losses.jsonl lacks a line" in capsys.readouterr().out


def test_only_rank_0_writes(module: Module, tmp_path: Path) -> None:
    story = module("attempts").Story(tmp_path, writes=False)
    story.begin(0, 3)
    story.note("stop", step=1)
    assert not list(tmp_path.iterdir())


# ---- the end ---------------------------------------------------------------------------------

LEAVES = """
import sys, threading, time
from datetime import timedelta
import torch.distributed as dist
import train

rank, end = int(sys.argv[1]), int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=2, timeout=timedelta(minutes=1))
threading.Thread(target=threading.Event().wait).start()  # Python's own end would wait for this one
if rank == 0:
    time.sleep(1)
    open(sys.argv[3] + "-written", "w").close()
    print("rank 0 is done")  # into a pipe: still in Python's buffer
train.leave(end, train.Place(rank, 2, rank))
"""


@pytest.mark.parametrize("code", [0, 75])
def test_ranks_end_together_and_never_wait_for_a_thread(code: int, tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", LEAVES, str(rank), str(code), str(tmp_path / "store")],
            env=os.environ | QUIET | {"PYTHONPATH": str(TEMPLATES), "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        assert ranks[1].wait(PATIENCE) == code
        assert (tmp_path / "store-written").exists(), "rank 1 did not wait for rank 0"
        assert ranks[0].communicate(timeout=PATIENCE)[0] == "rank 0 is done\n"
        assert ranks[0].returncode == code
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()


def test_one_process_ends_as_python_programs_do(module: Module) -> None:
    train = module("train")
    with pytest.raises(SystemExit) as end:
        train.leave(75, train.Place())
    assert end.value.code == 75


def test_a_warning_that_comes_at_the_very_end_kills_nobody(tmp_path: Path) -> None:
    """Ending, Python gives every signal that had a handler its default back: SIGUSR1 would kill from then on."""
    program = (
        "import os, signal\nfrom stop import StopFlag\nimport train\nStopFlag()\n"
        "class Last:\n    def __del__(self, kill=os.kill, me=os.getpid()):\n        kill(me, 10)\n"
        "import sys\nsys.last = Last()\nopen('finished', 'w').close()\ntrain.leave(0, train.Place())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | QUIET | {"PYTHONPATH": str(TEMPLATES)},
        timeout=PATIENCE,
        check=False,
    )
    assert (tmp_path / "finished").exists()
    assert done.returncode == 0
