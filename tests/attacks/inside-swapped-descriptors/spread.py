import os

zero, (end, beginning) = os.open("/dev/zero", os.O_RDWR), os.pipe()
for descriptor in range(64):
    if descriptor not in (zero, end, beginning):
        os.dup2(beginning if descriptor % 2 else zero, descriptor)
