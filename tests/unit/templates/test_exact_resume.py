"""An interrupted run ends with the losses and the weights of one that was not, bit for bit."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import SMALL, Training, same

# Kill this rank at the N-th call that changes something on disk, counted from the begin of the save of step 10.
KILL_IN_SAVE = """
import os, shutil, signal
from checkpoint import Checkpoints
count = {where}
counting = False
def watched(call):
    def called(*words, **more):
        global count
        if counting:
            if count == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            count -= 1
        return call(*words, **more)
    return called
if rank == {rank}:
    for name in ("mkdir", "open", "pwrite", "ftruncate", "fsync", "rename", "replace", "unlink", "rmdir"):
        setattr(os, name, watched(getattr(os, name)))
write = Checkpoints._write
def saved(self, step, *words):
    global counting
    counting = step == 10
    write(self, step, *words)
    if counting and rank == {rank}:
        print("calls left", count, flush=True)
    counting = False
Checkpoints._write = saved
"""
KILL_AT_STEP = """
import os, signal
old = train.train_step
def step(run, *words):
    if run.state.step == {step} and rank == {rank}:
        os.kill(os.getpid(), signal.SIGKILL)
    return old(run, *words)
train.train_step = step
"""


def calls_of_a_save(training: Training) -> int:
    """How many calls that change the disk one save makes on rank 0."""
    training.run(KILL_IN_SAVE.format(where=1000, rank=0))
    line = next(line for line in training.log().splitlines() if line.startswith("calls left"))
    return 1000 - int(line.split()[-1])


def test_killed_at_any_moment_of_a_save(
    training: Training, undisturbed: Callable[..., Any], tmp_path: Any
) -> None:
    whole = undisturbed()
    calls = calls_of_a_save(Training(training.nursery, tmp_path / "count"))
    assert calls > 15
    resumed_at = []
    for where in range(calls):
        one = Training(training.nursery, tmp_path / str(where))
        assert one.run(KILL_IN_SAVE.format(where=where, rank=0)) == [-9]
        same(one.finish(), whole)
        resumed_at.append(one.events("start")[1][1])
        names = {path.name for path in one.checkpoints.iterdir() if "step" in path.name}
        assert names == {"step-00000010", "step-00000012"}, "nothing half-written stays behind"
    # Before `latest` is moved it is the old state that counts, afterwards the new one; nothing in between.
    assert resumed_at == sorted(resumed_at) and set(resumed_at) == {5, 10}


@pytest.mark.parametrize(
    ("ranks", "more"),
    [
        (1, ()),
        (1, ("--workers=2",)),
        (1, ("--background",)),
        (2, ("--precision=float16",)),
        # Here the order counts in which gradients are added up: with two ranks there is only one.
        (4, ()),
        (4, ("--parallel=fsdp",)),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_killed_between_saves(
    training: Training, undisturbed: Callable[..., Any], ranks: int, more: tuple[str, ...]
) -> None:
    training.ranks, training.words = ranks, (*SMALL, "--save-every=6", *more)
    codes = training.run(KILL_AT_STEP.format(step=8, rank=ranks - 1))
    assert codes[-1] == -9 and 0 not in codes
    same(training.finish(), undisturbed(ranks, *more))
    assert [step for _, step in training.events("start")] == [0, 6]


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize(("rank", "where"), [(0, 1), (1, 1), (0, 12)])
def test_one_of_two_ranks_killed_in_a_save(
    training: Training, undisturbed: Callable[..., Any], parallel: str, rank: int, where: int
) -> None:
    """Before its bytes are written; and rank 0, which publishes, when those of both are."""
    training.ranks, training.words = 2, (*SMALL, f"--parallel={parallel}")
    assert training.run(KILL_IN_SAVE.format(where=where, rank=rank))[rank] == -9
    same(training.finish(), undisturbed(2, f"--parallel={parallel}"))
    assert training.events("start")[1][1] in (5, 10)


def test_background_save_killed_on_the_way(training: Training, undisturbed: Callable[..., Any]) -> None:
    training.words = (*SMALL, "--background")
    assert training.run(KILL_IN_SAVE.format(where=5, rank=0)) == [-9]
    assert training.latest.name == "step-00000005", "the pointer waits for the bytes"
    same(training.finish(), undisturbed())


# Holds the steps after step 3 till the file `go` is there, so that signals meet a run at a known place.
HELD = """
import pathlib, time
old = train.train_step
def step(run, *words):
    if run.state.step == 3:
        pathlib.Path(f"held-{rank}").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.005)
    return old(run, *words)
train.train_step = step
"""


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize("ranks", [1, 4])
def test_asked_to_stop(
    training: Training, undisturbed: Callable[..., Any], number: signal.Signals, ranks: int
) -> None:
    """One rank hears of it, more than once; all stop after the same step, which is saved."""
    training.ranks = ranks
    training.start(HELD)
    training.until_there(f"held-{ranks - 1}")
    for _ in range(3):
        training.signal(number, rank=ranks - 1)
    training.signal(signal.SIGCONT, rank=ranks - 1)
    (training.folder / "go").touch()
    assert training.end() == [75] * ranks
    assert training.events("stop") == [("stop", 4)]
    assert f"stopped by {number.name} after step 4" in training.log()
    same(training.finish(), undisturbed(ranks))


SIGNAL_IN = """
import os, signal
{place}
def signalling(*words, **more):
    if rank == {rank} and {when}:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
    return old(*words, **more)
{set}
"""
PLACES = {
    "evaluation": ("old = train.evaluate", "words[0].state.step == 4", "train.evaluate = signalling", 4),
    "start": ("old = train.build", "True", "train.build = signalling", 0),
    "save": (
        "from checkpoint import Checkpoints; old = Checkpoints._publish",
        "words[2] == 'step-00000005'",
        "Checkpoints._publish = signalling",
        6,
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_signals_at_a_bad_moment(
    training: Training, undisturbed: Callable[..., Any], place: str, ranks: int
) -> None:
    training.ranks = ranks
    before, when, after, step = PLACES[place]
    rank = 0 if place == "save" else ranks - 1  # rank 0 publishes
    codes = training.run(SIGNAL_IN.format(place=before, when=when, set=after, rank=rank))
    assert codes == [75] * ranks
    assert training.events("stop") == [("stop", step)]
    same(training.finish(), undisturbed(ranks))


REMEMBER = """
import hashlib, json, pathlib
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict
def remember(run, name):
    weights, optimizer = get_state_dict(
        run.state.model, run.state.optimizer, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
    if rank == 0:
        parts = {f"{key}.{what}": tensor for key, of in optimizer["state"].items() for what, tensor in of.items()}
        facts = {name: fact for name, fact in run.state.facts().items() if name != "world_size"}
        text = json.dumps([train.fingerprint(weights), train.fingerprint(parts), facts], sort_keys=True)
        pathlib.Path(name).write_text(text)
resume, save = train.Run.resume, train.Run.save
def resumed(run):
    resume(run)
    remember(run, "loaded")
def saved(run):
    save(run)
    remember(run, f"saved-{run.state.step}")
train.Run.resume, train.Run.save = resumed, saved
"""


def test_another_number_of_ranks(training: Training, undisturbed: Callable[..., Any]) -> None:
    """4, then 2, then 3: after each load everything is what was saved, weights and moments bit for bit.

    The losses that follow agree but for rounding. How far it drives them apart, no bound says for every processor.
    Of step 6 one does: equal weights, equal samples, and one pass forward.
    """
    words = (*SMALL, "--parallel=fsdp", "--dropout=0")
    training.words = words

    def texts(*names: str) -> list[str]:
        return [(training.folder / name).read_text() for name in names]

    kill = KILL_AT_STEP.format(step=6, rank=0)
    assert training.run(REMEMBER + kill, ranks=4)[0] == -9
    assert training.run(REMEMBER + KILL_AT_STEP.format(step=11, rank=0), ranks=2)[0] == -9
    assert len(set(texts("saved-5", "loaded"))) == 1
    result = training.finish(prepare=REMEMBER, ranks=3)
    assert len(set(texts("saved-10", "loaded"))) == 1
    whole = undisturbed(4, words=words)["history"]
    assert len(result["history"]) == len(whole) and result["history"][:5] == whole[:5]
    assert result["history"][5] == pytest.approx(whole[5], rel=1e-3)
    assert "saved by 4 processes, and these are 2" in training.log()
    assert "saved by 2 processes, and these are 3" in training.log()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("more", [(), ("--parallel=fsdp", "--background")], ids=["ddp", "fsdp, background"])
def test_twenty_interruptions(
    training: Training, undisturbed: Callable[..., Any], more: tuple[str, ...]
) -> None:
    """Kills and signals of one rank or of all, after a random number of steps. Nothing is lost."""
    words = ("--epochs=30", "--samples=960", "--batch=96", "--width=32", "--save-every=7", *more)
    training.ranks, training.words = 4, (*words, "--attempts=0")
    whole = undisturbed(4, words=words)
    chance = random.Random(5)
    step = 0
    for _ in range(20):
        training.start()
        step = max([step, *(line["step"] for line in training.lines("losses.jsonl"))])
        # 300 steps in all; about as far as to the next save, and now and then not so far.
        training.until_step(min(step + chance.randint(1, 12), 299))
        number = chance.choice([signal.SIGKILL, signal.SIGUSR1, signal.SIGTERM])
        for rank in chance.choice([[chance.randrange(4)], range(4)]):
            training.signal(number, rank)
        codes = training.end()
        assert 0 not in codes, codes
    same(training.finish(), whole)
    assert len(training.events("start")) == 21
