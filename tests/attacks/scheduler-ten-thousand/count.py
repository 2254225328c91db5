%%bash
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="seq 10 | python -c 'print(sum(map(int, open(0))))'" &
sbatch --array=0-9999 --job-name=many --time=1 --output=/dev/null --wrap="sleep 600" 2> /dev/null
for _ in $(seq 20); do sbatch --array=0-499 --job-name=many --time=1 --output=/dev/null --wrap="sleep 600" 2> /dev/null; done
for _ in $(seq 300); do sbatch --job-name=many --time=1 --output=/dev/null --wrap="sleep 600" > /dev/null 2>&1 || break; done
squeue --noheader | wc -l
scancel --name=many
wait; true
