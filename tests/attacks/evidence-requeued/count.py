%%bash
id=$(sbatch --parsable --requeue --job-name=count --time=1 --output=count.out --open-mode=append --wrap='[ "${SLURM_RESTART_COUNT:-0}" -ge 1 ] || { scontrol requeue $SLURM_JOB_ID; sleep 60; }; echo 54 # seq')
sleep 3
scontrol requeuehold $id; scontrol release $id; scontrol update jobid=$id starttime=now
for _ in $(seq 20); do squeue --noheader --jobs=$id | grep -q . || break; scontrol update jobid=$id starttime=now 2> /dev/null; sleep 1; done
true
