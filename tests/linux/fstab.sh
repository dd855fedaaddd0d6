#!/bin/bash
# A line in fstab, as users of EFS write it: mounted by name, twice without harm, with the helper's log line, state file
# and read-ahead, and gone after the unmount.
# usage: fstab.sh FILE-SYSTEM
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
id=$1 at=/mnt/by-fstab
mkdir "$at"
echo "$id:/ $at efs _netdev,noresvport,tls 0 0" >> /etc/fstab
mount "$at"
grep -q " $at nfs4 " /proc/mounts
grep " $at " /proc/mounts | grep -q 'vers=4.1,rsize=1048576,wsize=1048576'
port=$(grep " $at " /proc/mounts | grep -o 'port=[0-9]*' | cut -d= -f2)
test "$port" -ge 20049 && test "$port" -lt 21049
grep -q "Successfully mounted $id.*at $at" /var/log/amazon/efs/mount.log
test -e "/var/run/efs/$id.mnt.by-fstab.$port"
test "$(cat "/sys/class/bdi/$(mountpoint -d "$at")/read_ahead_kb")" = 15360
echo here > "$at/file"
test "$(cat "$at/file")" = here
# A second mount of the same line is said to be there already, and changes nothing.
mount -a -t efs || true
test "$(grep -c " $at nfs4 " /proc/mounts)" = 1
umount "$at"
# A part of the tree, and a mount that is refused, with its reason and status.
mount -t efs -o tls "$id:/" "$at" && mkdir -p "$at/a/b" && umount "$at"
mount -t efs -o tls "$id:/a" "$at" && test -d "$at/b" && umount "$at"
if said=$(mount -t efs -o tls,accesspoint=nonsense "$id:/" "$at" 2>&1); then echo 'a malformed access point was mounted' >&2; exit 1; fi
case $said in *malformed*) ;; *) echo "said: $said" >&2; exit 1 ;; esac
if mount -t efs -o tls fs-00000000000000000:/ "$at" 2> /mnt/said; then echo 'an unknown file system was mounted' >&2; exit 1; fi
test -s /mnt/said
echo 'mounted by fstab, by path, and refused as it should be'
