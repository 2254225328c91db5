%%bash
cat > field.py <<'PROGRAM'
import h5py
import numpy

with h5py.File("field.h5", "w", libver="latest") as file:
    kind = h5py.h5t.array_create(h5py.h5t.NATIVE_DOUBLE, (400_000_000,))
    space = h5py.h5s.create_simple((8, 8))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    h5py.h5d.create(file.id, b"t", kind, space, plist)
PROGRAM
sbatch --wait --job-name=field --time=1 --output=field.out --wrap="python field.py"
