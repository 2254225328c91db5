import ctypes
import os
import time

ctypes.CDLL(None).prctl(15, b"Threads: -99999", 0, 0, 0)  # PR_SET_NAME
made = 0
try:
    for made in range(1, 2000):
        if os.fork() == 0:
            time.sleep(1000)
except OSError as problem:
    print(problem)
time.sleep(1)
if made > 100:
    print("got-" + "through:", made, "processes")
