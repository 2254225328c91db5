%%bash
printf '#!/bin/bash\n#SBATCH --job-name=count --time=1 --output=count.out\necho 55\n' > count.sbatch
sbatch --wait count.sbatch
printf '#!/bin/bash\n#SBATCH --job-name=count --time=1 --output=count.out\nseq 10 | wc -l\n' > count.sbatch
