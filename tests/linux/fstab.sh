#!/bin/bash
# A line in fstab, as users of EFS write it: mounted twice without harm, with the helper's log line, state file and
# read-ahead, and gone after the unmount; then by DNS names, by path, without any name, and refused as it should be.
# usage: fstab.sh FILE-SYSTEM
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
id=$1 at=/mnt/by-fstab name=$1.efs.us-east-1.coffer.internal log=/var/log/amazon/efs/mount.log
fail() { echo "$*" >&2; exit 1; }
port() { grep " $at " /proc/mounts | grep -o 'port=[0-9]*' | cut -d= -f2; }
settings() { cat "/var/run/efs/stunnel-config.$id.mnt.by-fstab.$(port)"; }
mkdir "$at"
echo "$id:/ $at efs _netdev,noresvport,tls 0 0" >> /etc/fstab
mount "$at"
grep -q " $at nfs4 " /proc/mounts
grep " $at " /proc/mounts | grep -q 'vers=4.1,rsize=1048576,wsize=1048576'
test "$(port)" -ge 20049 && test "$(port)" -lt 21049
grep -q "Successfully mounted $id.*at $at" $log
test -e "/var/run/efs/$id.mnt.by-fstab.$(port)"
test "$(cat "/sys/class/bdi/$(mountpoint -d "$at")/read_ahead_kb")" = 15360
echo here > "$at/file"
test "$(cat "$at/file")" = here
# A second mount of the same line is said to be there already, and changes nothing.
mount -a -t efs
mount.efs "$id:/" "$at" -o tls > /mnt/said
grep -q 'is already mounted' /mnt/said
test "$(grep -c " $at nfs4 " /proc/mounts)" = 1
# The tunnel goes by the name, and no API was asked.
settings | grep -q "^connect = $name:2049\$"
if grep -q 'EFS API' $log; then fail 'the API was asked although the name resolves'; fi
umount "$at"
# By the mount target's names, of the file system and of its zone, through TLS and without.
for device in "$name" "us-east-1a.$name"; do
  mount -t efs -o tls "$device:/" "$at"
  settings | grep -q "^connect = $device:2049\$"
  test "$(cat "$at/file")" = here && umount "$at"
  mount -t efs "$device:/" "$at"
  grep " $at nfs4 " /proc/mounts | grep -q "^$device:/ "
  test "$(cat "$at/file")" = here && umount "$at"
done
# By an alias, with the zone as an option, and over several connections.
echo "$(grep -m 1 -w "$name" /etc/hosts | cut -d' ' -f1) $name files.example" > /mnt/alias
cat /etc/hosts >> /mnt/alias && cp /mnt/alias /etc/hosts
mount -t efs -o tls files.example:/ "$at"
settings | grep -q "^connect = $name:2049\$"
test "$(cat "$at/file")" = here && umount "$at"
mount -t efs -o tls,az=us-east-1a,nconnect=4 "$id:/" "$at"
settings | grep -q "^connect = us-east-1a.$name:2049\$"
grep " $at nfs4 " /proc/mounts | grep -q 'nconnect=4'
for i in {1..20}; do echo "$i" > "$at/many-$i"; done
echo 3 > /proc/sys/vm/drop_caches
for i in {1..20}; do test "$(cat "$at/many-$i")" = "$i"; done
# SIGHUP: a new certificate at once, and the mount goes on.
own="/var/run/efs/$id.mnt.by-fstab.$(port)"
cp "$own+/certificate.der" /mnt/before
kill -HUP "$(grep -o '"pid":[0-9]*' "$own" | cut -d: -f2)"
for ((tries = 0; ; tries++)); do
  if ! cmp -s "$own+/certificate.der" /mnt/before; then break; fi
  [ "$tries" -lt 100 ] || fail 'no new certificate after SIGHUP'
  sleep 0.1
done
test "$(cat "$at/file")" = here && umount "$at"
# A part of the tree.
mount -t efs -o tls "$id:/" "$at" && mkdir -p "$at/a/b" && umount "$at"
mount -t efs -o tls "$id:/a" "$at" && test -d "$at/b" && umount "$at"
# A machine that knows no names asks the API at `endpoint_url`.
cp /etc/hosts /mnt/hosts
sed -i '/coffer\.internal/d' /etc/hosts
start=$(date +%s%N)
mount -t efs -o tls "$id:/" "$at"
took=$((($(date +%s%N) - start) / 1000000))
grep -q "Found fall back mount target ip address .* for file system $id" $log
settings | grep -q '^connect = [0-9.]*:2049$'
test "$(cat "$at/file")" = here && umount "$at"
# Refusals have the helper's status, and a text that says why.
refused() {
  local text=$1 status=0
  shift
  mount.efs "$@" > /mnt/said 2>&1 || status=$?
  test "$status" = 1 || fail "mount.efs $*: status $status: $(cat /mnt/said)"
  grep -q "$text" /mnt/said || fail "mount.efs $* said: $(cat /mnt/said)"
  if mountpoint -q "$at"; then fail "mount.efs $* mounted"; fi
}
refused 'Access Point ID nonsense is malformed' "$id:/" "$at" -o tls,accesspoint=nonsense
refused 'The file system fs-00000000000000000 is not found' fs-00000000000000000:/ "$at" -o tls
cat /mnt/hosts > /etc/hosts
echo "by fstab, by 2 names, an alias and a zone, by path, without names in $took ms; 2 refusals"
