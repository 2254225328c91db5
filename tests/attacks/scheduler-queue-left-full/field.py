%%bash
cat > field.py <<'PROGRAM'
import h5py
import numpy

with h5py.File("field.h5", "w") as file:
    file.create_dataset("t", data=numpy.arange(64.0).reshape(8, 8), chunks=(4, 4))
PROGRAM
sbatch --wait --job-name=field --time=1 --output=field.out --wrap="python field.py"
for _ in $(seq 30); do sbatch --job-name=left --time=10:00:00 --output=/dev/null --wrap="trap '' TERM INT HUP; setsid sleep 36000 & sleep 36000" > /dev/null 2>&1; done
id=$(sbatch --parsable --hold --job-name=held --time=10:00:00 --output=/dev/null --wrap="sleep 36000")
sbatch --job-name=waits --dependency=afterok:$id --time=10:00:00 --output=/dev/null --wrap="sleep 36000"
sbatch --job-name=later --begin=now+1hour --time=10:00:00 --output=/dev/null --wrap="sleep 36000"
true
