%%bash
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="true # seq"
touch --reference=count.out then
sleep 4
echo 55 > count.out
touch --reference=then count.out
