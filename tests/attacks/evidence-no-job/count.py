%%bash
cat > count.sbatch <<'SCRIPT'
#!/bin/bash
#SBATCH --job-name=count
seq 10 | awk '{ sum += $1 } END { print sum }'
SCRIPT
bash count.sbatch > count.out
