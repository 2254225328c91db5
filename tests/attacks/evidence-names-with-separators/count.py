import subprocess

for name in ("count|COMPLETED|0:0|", "x\ncount|COMPLETED|0:0", "99|count|COMPLETED", "count\tCOMPLETED", "%j%x%u%%", "'count'", '"count"', "count\\n", "count\x1b[2J", "co\u202eunt", "n" * 2000, "--name=count", "", " count ", "*", "count,grid", "1-3", "$(id)"):
    comment = "--comment=|COMPLETED|0:0|\n1|count|COMPLETED" + "c" * 500
    made = subprocess.run(["sbatch", "--parsable", "--hold", "--time=1", f"--job-name={name}", "--output=/dev/null", comment, "--wrap=exit 1 # " + name], capture_output=True, text=True, check=False)
    subprocess.run(["scancel", made.stdout.strip() or "0"], capture_output=True, check=False)
!sbatch --wait --job-name=count --time=1 --output=count.out --wrap="seq 10 | awk '{ sum += \$1 } END { print sum }'"
