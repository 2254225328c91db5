%%bash
ln -s /etc/shadow link.out; mkfifo pipe.out
for path in /proc/self/environ /etc/shadow link.out "%j-%x-%u-%N-%%" ../../../etc/passwd /dev/zero /proc/1/environ /run/hpclab/etc/slurm/slurmdbd.conf; do
    timeout 20 sbatch --wait --time=1 --job-name=count --output="$path" --wrap="true # seq" > /dev/null 2>&1
done
sbatch --wait --job-name=count --time=1 --output=/dev/null --wrap="true # seq"
sbatch --wait --job-name=count --time=1 --output=shown.out --wrap="true # seq"
rm -f shown.out; ln -s /proc/self/environ shown.out
