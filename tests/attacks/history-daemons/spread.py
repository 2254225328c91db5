import ctypes
import os
import signal
import subprocess
import sys

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
LOOP = "import os, signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]; time.sleep(100000)"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, ["hpclab-attack-daemon", "-c", LOOP])
    os._exit(0)
for words in (["nohup", "sleep", "100001"], ["setsid", "-f", "sleep", "100002"], ["systemd-run", "sleep", "100003"], ["at", "now"], ["crontab", "-"],
              ["sh", "-c", "(trap '' TERM; sleep 100004) & disown; kill -STOP $!"], ["sh", "-c", "exec -a '[kworker/0:0]' sleep 100005 &"]):
    try:
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    except OSError:
        pass


def spread(values):
    return max(values) - min(values)
