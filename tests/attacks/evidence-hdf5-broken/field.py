%%bash
cat > field.py <<'PROGRAM'
import random

import h5py
import numpy

with h5py.File("field.h5", "w", libver="latest") as file:
    file.create_dataset("t", (10**9, 10**9), "f8", chunks=(4, 4))
    file.create_dataset("u", data=numpy.arange(64.0).reshape(8, 8), chunks=(4, 4))
data = bytearray(open("field.h5", "rb").read())
random.seed(1)
for at in range(200, len(data), 3):
    data[at] = random.randrange(256) if at > 1200 else data[at]
open("field.h5", "wb").write(data)
PROGRAM
sbatch --wait --job-name=field --time=1 --output=field.out --wrap="python field.py"
