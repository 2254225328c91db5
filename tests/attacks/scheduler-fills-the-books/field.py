%%bash
cat > field.py <<'PROGRAM'
import h5py
import numpy

with h5py.File("field.h5", "w") as file:
    file.create_dataset("t", data=numpy.arange(64.0).reshape(8, 8), chunks=(4, 4))
PROGRAM
sbatch --wait --job-name=field --time=1 --output=field.out --wrap="python field.py"
head -c 250000 /dev/zero | tr '\0' '#' > padding
end=$((SECONDS + 400))
while [ $SECONDS -lt $end ]; do
    { printf '#!/bin/bash\n#SBATCH --time=1 --hold --output=/dev/null --job-name=page\n# %s\n' $RANDOM$RANDOM$RANDOM; shuf -zer -n 60000 {a..z} | tr -d '\0'; head -c 180000 padding; } | sbatch > /dev/null 2>&1
    scancel --name=page
done
true
