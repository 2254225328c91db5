import time

time.sleep(31_536_000)
