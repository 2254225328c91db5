#!/bin/sh
# Memory limits by control groups of version 2, of jobs and of the grader's sandboxes, seen in a virtual machine. By
# hand, as root, on Debian:
#
#     tests/vm/cgroup-v2.sh FOLDER        (FOLDER: an empty one, 800 MB; takes five minutes)
#
# For a machine whose own groups are of version 1, or on which nothing may be tried. QEMU emulates a
# machine without KVM; it sees this one's files read-only, with a layer in memory on top. Nothing is
# installed: the packages are unpacked into FOLDER. HPCLAB=PROGRAM replaces .venv/bin/hpclab.
set -eu
clone=$(cd "$(dirname "$0")/../.." && pwd)
hpclab=${HPCLAB:-$clone/.venv/bin/hpclab}
mkdir -p "${1:?a folder is needed}"
vm=$(cd "$1" && pwd)
cd "$vm"

if [ ! -e unpacked ]; then
    mkdir -p debs root
    chmod 755 .
    kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p')
    # what is installed here already is found here; the rest is looked up as an installation would
    needed=$(apt-get install --simulate --no-install-recommends qemu-system-x86 busybox-static | awk '/^Inst/ { print $2 }')
    # shellcheck disable=SC2086
    (cd debs && apt-get download --quiet=2 $needed "$kernel")
    for package in debs/*.deb; do dpkg -x "$package" root; done
    touch unpacked
fi
kernel=$(cd root/boot && echo vmlinuz-*)

mkdir -p init/m init/proc init/sys init/dev init/low init/up init/new
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk \
    netfs fscache 9pnet 9pnet_virtio 9p overlay llc stp bridge veth tun fuse; do
    find root/lib/modules -name "$module.ko*" -exec cp {} init/m/ \;
    echo "insmod /m/$module.ko"
done >insmods
cp "$(find root/bin root/usr/bin /usr/bin /bin -name busybox -type f 2>/dev/null | head -1)" init/busybox
cat >init/init <<INIT
#!/busybox sh
for tool in mount mkdir insmod switch_root poweroff; do alias \$tool="/busybox \$tool"; done
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
$(cat insmods)
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 host /low || poweroff -f
mount -t tmpfs -o size=2g up /up; mkdir /up/u /up/w
mount -t overlay -o lowerdir=/low,upperdir=/up/u,workdir=/up/w root /new || poweroff -f
mount -t proc proc /new/proc; mount -t sysfs sys /new/sys; mount -t devtmpfs dev /new/dev
mkdir -p /new/dev/shm /new/dev/pts
mount -t tmpfs shm /new/dev/shm; mount -t devpts devpts /new/dev/pts; mount -t tmpfs -o mode=755 run /new/run
mount -t cgroup2 -o nsdelegate cgroup /new/sys/fs/cgroup
exec /busybox switch_root /new /bin/sh "$vm/inside"
INIT
chmod +x init/init init/busybox
(cd init && find . | ./busybox cpio -o -H newc 2>/dev/null) | gzip -1 >initrd.gz
truncate -s 512M swap && chmod 600 swap && mkswap swap >/dev/null 2>&1

# Inside: each line that begins with PASS or FAIL is a check.
cat >inside <<INSIDE
exec </dev/null >/dev/ttyS0 2>&1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 HPCLAB_STATE=/tmp/state
cd /tmp; hostname vm; ip link set lo up; swapon /dev/vda
h="timeout 300 $hpclab" # a hung command must not hang the machine
python=$(dirname "$hpclab")/python
on="\$h exec --name vm --"
check() { what=\$1; shift; if "\$@"; then echo "PASS \$what"; else echo "FAIL \$what"; fi; }
\$h up --name vm --timeout 240 2>&1 | cat
check "status names version 2" sh -c "\$h status --name vm | grep 'cgroup v2'"
account=\$(\$on sacctmgr -nP show assoc format=account user=learner | sort -u | head -1)
job="\$on srun -A \$account -q debug -C gpu -t 5"
check "a job on four nodes" \$job -N4 hostname
echo "a job of 100 MB takes 300, with swap at hand"
\$job --mem=100 python3 -c 'x = bytearray(300 << 20)'
sleep 5 # the record takes a moment to reach the database
check "it ended OUT_OF_MEMORY" sh -c "\$on sacct -nPX --format=state,exitcode | grep 'OUT_OF_MEMORY|0:125'"
check "Slurm took its groups away" sh -c 'find /sys/fs/cgroup -name nid001_slurmstepd.scope | grep . &&
    ! find /sys/fs/cgroup -name "job_*" | grep .'
\$h down --name vm --force 2>&1 | cat
check "no group is left" sh -c '! find /sys/fs/cgroup -mindepth 1 -type d | grep .'
# As systemd does for whoever logs in: a group of one's own, with controllers.
echo "+memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/session; echo \$\$ >/sys/fs/cgroup/session/cgroup.procs
check "a sandbox's group kills" timeout 200 \$python $clone/tests/vm/sandboxes.py kills
check "sandboxes keep all probes in" timeout 400 \$python $clone/tests/vm/sandboxes.py keeps-in
echo done; echo o >/proc/sysrq-trigger; read -r never </dev/ttyS0
INSIDE

libraries=$vm/root/usr/lib/x86_64-linux-gnu:$vm/root/lib/x86_64-linux-gnu:$vm/root/usr/lib/x86_64-linux-gnu/pulseaudio
qemu=$(find root/usr/bin /usr/bin -name qemu-system-x86_64 | head -1)
LD_LIBRARY_PATH=$libraries timeout 1800 nice "$qemu" -L root/usr/share/qemu -L root/usr/share/seabios \
    -accel tcg,thread=multi -cpu max -smp 2 -m 3000 -nographic -no-reboot -nic none \
    -kernel "root/boot/$kernel" -initrd initrd.gz -append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all" \
    -drive file=swap,if=virtio,format=raw \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
    </dev/null 2>&1 | tee console
grep -q '^done' console && ! grep -q '^FAIL' console
