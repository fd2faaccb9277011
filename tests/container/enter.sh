# Becomes the first process of a container. Called in a mount and a process name space of its own with: root, volume, user, NAME=VALUE...
# and the command. What a container engine mounts is mounted here; all the rest of the root cannot be written.
set -e
root=$1 volume=$2 user=$3
shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$volume" "$root/data"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -o remount,ro "$root/dev"
exec chroot --userspec="$user:$user" "$root" /usr/bin/env -i HOME=/data "$@"
