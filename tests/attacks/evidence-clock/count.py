%%bash
date -s "2001-01-01" 2> /dev/null
for file in ~/.bashrc ~/.profile ~/.bash_profile; do
    echo 'export TZ=Pacific/Kiritimati SLURM_TIME_FORMAT=%s SACCT_FORMAT=jobid SQUEUE_FORMAT=%i LC_ALL=tr_TR.UTF-8 SLURM_CONF=/tmp/slurm.conf SLURM_CLUSTERS=other SLURM_JSON=list' >> $file
done
mkdir -p ~/.slurm && echo 'TimeLimit=1' > ~/.slurm/defaults
printf '[client]\nhost=1.2.3.4\n' > ~/.my.cnf
export TZ=Asia/Tokyo SBATCH_TIMELIMIT=1
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="seq 10 | python -c 'print(sum(map(int, open(0))))'"
touch -d 2030-01-01 ../* 2> /dev/null; true
