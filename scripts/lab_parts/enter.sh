# Becomes a device: runs as root in mount, process, host name and IPC name spaces of its own, and ends as its SSH server (process 1).
# $1 the device's folder, $2 the common file system, $3 its name, $4 size of /home/edge in MB or nothing.
set -eu
mount --make-rprivate /
mkdir -p "$1/root" "$1/upper" "$1/work"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
root=$1/root
mount -t proc proc "$root/proc"
mount --bind "$1/cpuinfo" "$root/proc/cpuinfo"
for device in null zero full random urandom tty; do
    [ -e "$root/dev/$device" ] || : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -sfn pts/ptmx "$root/dev/ptmx"
ln -sfn /proc/self/fd "$root/dev/fd"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o size=64m,mode=1777 shm "$root/dev/shm"
# What a board's kernel shows of its clock and heat, as plain files: they can be read and written, and change nothing.
mount -t tmpfs -o size=1m,mode=755 sys "$root/sys"
cpu=$root/sys/devices/system/cpu
policy=$cpu/cpufreq/policy0
mkdir -p "$root/sys/class/thermal/thermal_zone0" "$policy" "$cpu/cpu0"
echo cpu-thermal >"$root/sys/class/thermal/thermal_zone0/type"
echo 45000 >"$root/sys/class/thermal/thermal_zone0/temp"
for file in possible present online; do echo 0-3 >"$cpu/$file"; done
echo "0 1 2 3" >"$policy/related_cpus"
cp "$policy/related_cpus" "$policy/affected_cpus"
echo 2400000 >"$policy/scaling_cur_freq"
echo 600000 >"$policy/scaling_min_freq"
echo 2400000 >"$policy/scaling_max_freq"
echo "ondemand powersave performance" >"$policy/scaling_available_governors"
echo ondemand >"$policy/scaling_governor"
ln -sfn ../cpufreq/policy0 "$cpu/cpu0/cpufreq"
if [ -n "$4" ]; then
    mount -t tmpfs -o "size=$4m,mode=700,uid=1000,gid=1000" home "$root/mnt"
    cp -a "$root/home/edge/." "$root/mnt/"
    mount --move "$root/mnt" "$root/home/edge"
fi
cp "$1/sshd_config" "$root/etc/ssh/sshd_config"
hostname "$3"
exec chroot "$root" /usr/sbin/sshd -D -e
