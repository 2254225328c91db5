%%bash
here=$PWD
mkdir -p "$HOME/elsewhere" && cd "$HOME/elsewhere"
sbatch --wait --job-name=count --time=1 --output="$here/count.out" --wrap="echo 55 # seq" | grep -o '[0-9]*' > "$here/job.txt"
