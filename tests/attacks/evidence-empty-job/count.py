%%bash
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="true # seq"
sleep 4
echo 55 > count.out
