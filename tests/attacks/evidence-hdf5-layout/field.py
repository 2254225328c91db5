%%bash
cat > field.py <<'PROGRAM'
import h5py
import numpy

with h5py.File("field.h5", "w") as file:
    file.create_dataset("t", data=numpy.arange(64.0).reshape(8, 8))
PROGRAM
sbatch --wait --job-name=field --time=1 --output=field.out --wrap="python field.py"
