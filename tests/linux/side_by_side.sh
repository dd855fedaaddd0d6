#!/bin/bash
# Two file systems (one of them twice: through TLS and in the clear) and two access points are mounted at once: no mount
# shows another's tree or works with another's rights.
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
test "$(grep -c ' nfs4 ' /proc/mounts)" = 5
# Five devices: the client has merged nothing.
test "$(stat -c %d /mnt/red /mnt/blue /mnt/ann /mnt/ben /mnt/clear | sort -u | wc -l)" = 5
echo red > /mnt/red/colour
echo blue > /mnt/blue/colour
test "$(cat /mnt/red/colour)" = red
test "$(cat /mnt/blue/colour)" = blue
# One file system, two ways to it.
test "$(cat /mnt/clear/colour)" = blue
# An access point's root is its directory, made with its owner and mode.
test "$(stat -c '%u %g %a' /mnt/ann /mnt/ben)" = $'1001 1001 750\n1002 1002 750'
test "$(stat -c '%u %g %a' /mnt/red/homes/ann)" = '1001 1001 750'
test ! -e /mnt/ann/colour && test ! -e /mnt/ben/colour
# Whoever writes through it writes as its POSIX user: root here is nobody special there.
echo mine > /mnt/ann/file
echo mine > /mnt/ben/file
test "$(stat -c '%u %g' /mnt/ann/file)" = '1001 1001'
test "$(stat -c '%u %g' /mnt/red/homes/ben/file)" = '1002 1002'
if chown 0:0 /mnt/ann/file 2> /dev/null; then echo 'root squashed to 1001 may chown' >&2; exit 1; fi
mkdir -m 700 /mnt/red/homes/ann/roots
if ls /mnt/ann/roots > /dev/null 2>&1; then echo "uid 1001 reads root's directory" >&2; exit 1; fi
# Nothing of what lies around it shows. (`..` at a mount's root is the client's own business and asks no server.)
test ! -e /mnt/ann/ben && test ! -e /mnt/ann/homes && test ! -e /mnt/ann/ann
# All at once.
for mount in red blue ann ben clear; do
  (for i in {1..40}; do echo "$mount $i" > "/mnt/$mount/$mount-$i"; done) &
done
wait
for mount in red blue ann ben clear; do
  for i in {1..40}; do test "$(cat "/mnt/$mount/$mount-$i")" = "$mount $i"; done
done
umount /mnt/ann
test "$(cat /mnt/ben/file)" = mine
umount /mnt/ben /mnt/red /mnt/clear /mnt/blue
test "$(grep -c ' nfs4 ' /proc/mounts)" = 0
echo '5 mounts side by side'
