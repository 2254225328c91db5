import subprocess

for name in ("count|COMPLETED|0:0|", "x\ncount", "x|count", "count\n", "count\0", " count", "count ", "count,x", "Count", "c\u043eunt", "count%", "`count`", '"count"'):
    if "\0" in name:
        continue
    subprocess.run(["sbatch", "--wait", "--time=1", f"--job-name={name}", "--output=count.out", "--comment=|count|COMPLETED|0:0", "--wrap=echo 55 # seq"], capture_output=True, check=False)
open("count.out", "w").write("55\n")
