%%bash
cat > later.sbatch <<'SCRIPT'
#!/bin/bash
#SBATCH --job-name=field --time=1 --output=field.out --requeue
trap 'scontrol requeue $SLURM_JOB_ID' TERM CONT
python -c 'import h5py, numpy; h5py.File("field.h5", "w").create_dataset("t", data=numpy.arange(64.0).reshape(8, 8), chunks=(4, 4))'
SCRIPT
id=$(sbatch --parsable --hold later.sbatch)
sbatch --begin=now+260 --job-name=friend --time=1 --output=/dev/null --wrap="scontrol release $id; sbatch later.sbatch"
for n in 250 270; do sbatch --begin=now+$n later.sbatch; done
true
