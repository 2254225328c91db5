%%bash
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="seq 10 | python -c 'print(sum(map(int, open(0))))'"
sbatch --wait --job-name=count --time=1 --output=other.out --wrap="exit 3 # seq"
