%%bash
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="seq 10 | python -c 'print(sum(map(int, open(0))))'"
cat > eat.py <<'PROGRAM'
import os, time
for folder in ("/tmp", "/dev/shm", "/var/tmp"):
    try:
        with open(f"{folder}/fill", "wb") as file:
            for _ in range(2000):
                file.write(bytes(1 << 20))
    except OSError as problem:
        print(folder, problem)
for _ in range(2000):
    try:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
    except OSError as problem:
        print(problem)
        break
kept = []
for _ in range(4000):
    kept.append(bytearray(b"x" * (1 << 20)))
PROGRAM
timeout 60 sbatch --wait --nodes=2 --ntasks=2 --job-name=eater --time=1 --output=eater.out --wrap="srun python eat.py"
true
