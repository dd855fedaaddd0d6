#!/bin/bash
# A file system whose key is in a KMS elsewhere: cut off it serves for a while, then its operations wait and none fails; restored
# they go on; refused there they fail. usage: kms_elsewhere.sh DIRECTORY MEET SERVED_SECONDS
set -u
directory=$1 MEET=$2 served=$3
source "$(dirname "$0")/barrier.sh"
fail() { echo "$*" >&2; exit 1; }
drop() { echo 3 > /proc/sys/vm/drop_caches; }
cd "$directory" || exit 1
head -c 3000000 /dev/urandom > /mnt/want && cp /mnt/want file && sync || fail 'cannot write'
exec 5<> file
reach ready
await cut
for ((second = 0; second < served; second++)); do
  drop
  cmp file /mnt/want || fail "not served $second s after the cut"
  date > "written-$second" && sync "written-$second" || fail "cannot write $second s after the cut"
  sleep 1
done
echo "served for $served s after the cut"
reach served
await sealed
drop
(cat file > /mnt/out 2> /mnt/err; echo $? > /mnt/status) &
(printf after | dd of=new conv=fsync status=none 2>> /mnt/err; echo $? > /mnt/created) &
sleep 5
[ -e /mnt/status ] && fail "an operation ended while the KMS is silent: $(cat /mnt/err)"
[ -e /mnt/created ] && fail "a change ended while the KMS is silent: $(cat /mnt/err)"
reach waiting
await restored
wait
[ "$(cat /mnt/status /mnt/created)" = $'0\n0' ] || fail "what waited failed: $(cat /mnt/err)"
cmp /mnt/out /mnt/want && [ "$(cat new)" = after ] || fail 'other content after the wait'
echo 'what waited was done'
reach back
await disabled
for ((tries = 0; ; tries++)); do
  drop
  said=$(timeout 30 cat file 2>&1 > /dev/null) || break
  [ "$tries" -lt 60 ] || fail 'still served 60 s after the key was disabled'
  sleep 1
done
case $said in
*'Input/output error'*) ;;
*) fail "refused with: $said" ;;
esac
echo "refused $tries s after the key was disabled"
reach refused
await enabled
for ((tries = 0; ; tries++)); do
  drop
  cat file > /dev/null 2>&1 && break
  [ "$tries" -lt 90 ] || fail 'still refused 90 s after the key was enabled'
  sleep 1
done
cmp file /mnt/want && cmp - /mnt/want <&5 || fail 'other content at the end'
mkdir last || fail 'cannot create'
exec 5>&-
echo 'enabled and back'
