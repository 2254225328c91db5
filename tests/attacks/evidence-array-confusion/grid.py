%%bash
for n in 1 2 3; do
    last=$(sbatch --parsable --job-name=grid --time=1 --output=grid-$n.out --export=ALL,SLURM_ARRAY_TASK_ID=$n --comment="${n}_$n" --wrap="echo $((n * n)) > grid-$n.txt")
done
sbatch --wait --dependency=afterok:$last --job-name=collect --time=1 --output=collect.out --wrap="echo 14 > total.txt"
