"""Stop when asked to: all ranks together, between two steps, with everything saved.

    stop = StopFlag()                    as early as possible: before `import torch`
    for batch in batches:
        ...                              one step
        if stop.agreed(device):          the same answer on every rank
            save and leave with exit code AGAIN

Slurm asks with SIGTERM (preemption, the end of the time limit, scancel) or with the signal that
the job chose, here SIGUSR1 (``--signal=USR1@60``). Which of the two comes first, or whether only
some ranks hear of it, makes no difference. This module imports no torch before it must.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

AGAIN = 75
"""Exit code for "stopped before the end, all is saved, run me again" (EX_TEMPFAIL of sysexits.h)."""


GIVE_UP = 78
"""Exit code for "running me again as I am is of no use" (EX_CONFIG)."""


class StopFlag:
    """Remembers that a signal came; the program looks when it suits it."""

    def __init__(self, signals: tuple[signal.Signals, ...] = (signal.SIGUSR1, signal.SIGTERM)) -> None:
        self.heard = 0
        for number in signals:
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        # Nothing else in here: Python runs this between any two instructions, perhaps amid a save or a
        # collective. A second signal changes nothing, so a stop that is under way is not disturbed.
        # SIGCONT, which preemption sends too, is not listened to.
        self.heard = self.heard or number

    def agreed(self, device: torch.device | str = "cpu") -> str:
        """The name of a signal that any rank heard, as "SIGUSR1", or "": the same on every rank.

        Every rank must ask at the same place. Without the agreement one rank stops after step 7, its
        neighbour, who got the signal a moment later, begins step 8 and waits there for ever.
        """
        import torch
        import torch.distributed as dist

        number = self.heard
        if dist.is_initialized() and dist.get_world_size() > 1:
            shared = torch.tensor(number, device=device)
            dist.all_reduce(shared, op=dist.ReduceOp.MAX)
            number = int(shared.item())
        return signal.Signals(number).name if number else ""
