import mmap
import os
import time

for _ in range(12):
    if os.fork() == 0:
        hidden = os.memfd_create("hidden")
        os.ftruncate(hidden, 1 << 30)
        for _, descriptor in enumerate((hidden, -1)):
            area = mmap.mmap(descriptor, 1 << 30)
            for at in range(0, len(area), 4096):
                area[at] = 1
        time.sleep(1000)
        os._exit(0)
for _ in range(12):
    os.wait()
raise MemoryError("all children died")
