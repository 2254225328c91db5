%%bash
sbatch --wait --array=1-3%1 --job-name=grid --time=1 --output=/dev/null --wrap="exit 1"
sbatch --array=0-20:10 --job-name=grid --hold --time=1 --output=/dev/null --wrap="true"
scancel --name=grid
array=$(sbatch --parsable --array=3,2,1%2 --job-name=grid --time=1 --output=grid-%a.out --wrap='echo $((SLURM_ARRAY_TASK_ID * SLURM_ARRAY_TASK_ID)) > grid-$SLURM_ARRAY_TASK_ID.txt')
sbatch --wait --dependency=afterok:$array --job-name=collect --time=1 --output=collect.out --wrap="cat grid-?.txt | python -c 'print(sum(map(int, open(0))))' > total.txt"
