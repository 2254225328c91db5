#!/bin/bash
# The same Slurm as `hpclab up` has, with accounting, four slurmd and QOS off, started by hand on
# one host name: what a benchmark compares with. Runs the script on its standard input, as root.
#   by-hand.sh FOLDER PREFIX      (FOLDER is empty, PREFIX has the unpacked packages)
set -euo pipefail
if [ -z "${INSIDE_BY_HAND:-}" ]; then
    export INSIDE_BY_HAND=1
    [ "$(id -u)" = 0 ] || exec unshare --user --map-root-user --map-auto --mount --net --uts --pid --fork --kill-child "$0" "$@"
    exec unshare --mount --net --uts --pid --fork --kill-child "$0" "$@"
fi
folder=$1 prefix=$2
mount -t proc proc /proc
mount -t overlay -o "lowerdir=$prefix/usr:/usr" overlay /usr
mkdir -p "$folder"/{etc/slurm,state,db,log,spool}
cp -r "$prefix/etc/." "$folder/etc/"
printf 'slurm:x:960:960::/:/bin/false\nmysql:x:961:961::/:/bin/false\n' | cat /etc/passwd - >"$folder/etc/passwd"
printf "127.0.0.1 localhost\n10.77.0.1 byhand\n" >"$folder/etc/hosts"
mount -t tmpfs tmpfs /run
mkdir -p /run/munge /run/mysqld
hostname byhand
ip link set lo up
ip address add 10.77.0.1/32 dev lo # Slurm resolves no name in a network that has loopback addresses only
cat >"$folder/etc/slurm/slurm.conf" <<CONF
ClusterName=hpclab
SlurmctldHost=byhand(10.77.0.1)
SlurmUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/%n.log
AuthInfo=cred_expire=10
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
MaxJobCount=20000
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=byhand
AccountingStoreFlags=job_script,job_env,job_comment
NodeName=n[1-4] NodeHostname=byhand NodeAddr=10.77.0.1 Port=[7001-7004] CPUs=4 CoresPerSocket=4 RealMemory=4000
PartitionName=main Nodes=ALL Default=YES State=UP
CONF
cat >"$folder/etc/slurm/slurmdbd.conf" <<CONF
DbdHost=byhand
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
LogFile=$folder/log/slurmdbd.log
PidFile=/run/slurmdbd.pid
CONF
chmod 600 "$folder/etc/slurm/slurmdbd.conf"
mount -t overlay -o "lowerdir=$folder/etc:/etc" overlay /etc
head -c 128 /dev/urandom >"$folder/munge.key" && chmod 600 "$folder/munge.key"

await() { # await SECONDS COMMAND...
    local end=$((SECONDS + $1)); shift
    until "$@" >/dev/null 2>&1; do [ "$SECONDS" -lt "$end" ] || { echo "no answer: $*" >&2; exit 1; }; sleep 0.05; done
}
munged --force --key-file "$folder/munge.key" --socket /run/munge/munge.socket.2 --pid-file /run/munged.pid \
    --log-file "$folder/log/munged.log" --seed-file /run/munged.seed 2>/dev/null
mariadb-install-db --no-defaults --user=root --datadir="$folder/db" --skip-test-db --auth-root-authentication-method=normal >/dev/null 2>&1
mariadbd --no-defaults --user=root --datadir="$folder/db" --skip-networking --socket=/run/mysqld/mysqld.sock \
    --innodb-buffer-pool-size=64M --innodb-log-file-size=16M --performance-schema=OFF --innodb-flush-log-at-trx-commit=2 \
    --innodb-lock-wait-timeout=900 --innodb-use-native-aio=OFF >"$folder/log/mariadb.log" 2>&1 &
await 30 test -S /run/mysqld/mysqld.sock
mariadb --no-defaults -S /run/mysqld/mysqld.sock -e 'create database slurm_acct_db'
slurmdbd
await 30 sacctmgr -n show cluster
sacctmgr -i add cluster hpclab >/dev/null
slurmctld
await 30 sh -c 'scontrol ping | grep -q UP'
for n in 1 2 3 4; do slurmd -N "n$n"; done
# shellcheck disable=SC2016 # the inner shell expands it
await 30 sh -c 'test "$(sinfo -h -N -o %t | grep -c idle)" = 4'
bash -s
