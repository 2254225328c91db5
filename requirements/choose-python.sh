#!/bin/sh
# Print the Python interpreter that .venv shall be made from, or say what to install.
#
# With $PYTHON set, that one must fit. Otherwise the first that fits is taken:
# 3.11 or newer, able to make virtual environments, and, for root, readable by
# everyone, because the learner inside the cluster is an ordinary user (an
# interpreter under /root would not start there).
set -eu

# Python 2 must be able to parse this: it has to reach the test of its version.
fits='
import os, sys
if sys.version_info < (3, 11):
    sys.exit("it is Python %d.%d; 3.11 or newer is needed" % sys.version_info[:2])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("it cannot make virtual environments (its python%d.%d-venv is missing)" % sys.version_info[:2])
program = folder = os.path.realpath(sys.executable)
while os.geteuid() == 0 and folder != "/":
    folder = os.path.dirname(folder)
    if not os.stat(folder).st_mode & 1:
        sys.exit("only root can start it: %s is closed to other users" % folder)
print(program)
'

if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3
fi

newline='
'
choose() {
    refused=''
    for candidate in "$@"; do
        if ! command -v "$candidate" >/dev/null 2>&1; then
            why='there is no such program'
        elif why=$("$candidate" -c "$fits" 2>&1); then
            printf '%s\n' "$why"
            exit 0
        fi
        refused="$refused$newline  $candidate: ${why%%"$newline"*}"
    done
}

choose "$@"
# Debian leaves the venv module out of python3. Root on such a machine gets it without being asked.
if [ -z "${PYTHON:-}" ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
    echo "      installing python3 and python3-venv with apt-get" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq install --no-install-recommends python3 python3-venv; } >&2 || true
    choose "$@"
fi

cat >&2 <<END
No fitting Python was found:$refused

Install Python 3.11 or newer with its venv module. On Debian 12 or Ubuntu 24.04:
    sudo apt-get install python3 python3-venv
On a cluster, often:
    module load python
Or name another interpreter:
    PYTHON=/path/to/python3.12 make lab
END
exit 1
