import os
from pathlib import Path

bin = Path("bin")
bin.mkdir(exist_ok=True)
for name in ("python", "python3", "sacct", "squeue", "scontrol", "sh", "bash", "env", "cat", "hpclab"):
    (bin / name).write_text("#!/usr/bin/env -S PATH=/usr/bin sh\necho got-" + "through: a false program\n")
    (bin / name).chmod(0o755)
here = os.getcwd()
for name, value in {
    "PYTHONPATH": here, "PYTHONSTARTUP": f"{here}/start.py", "PYTHONHOME": here, "PYTHONINSPECT": "1", "LD_PRELOAD": f"{here}/lie.so", "LD_LIBRARY_PATH": here, "BASH_ENV": f"{here}/start.sh",
    "ENV": f"{here}/start.sh", "PATH": f"{here}/bin", "IFS": "/", "TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "SLURM_CONF": f"{here}/slurm.conf", "HOME": here,
    "HPCLAB_LEARNER": "root", "HPCLAB_COURSE": here, "NBGRADER_VALIDATING": "1", "IPYTHONDIR": here, "TMPDIR": here, "GLIBC_TUNABLES": "glibc.malloc.check=3", "MALLOC_TRACE": f"{here}/trace",
}.items():
    os.environ[name] = value
