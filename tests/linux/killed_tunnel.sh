#!/bin/bash
# The process behind a TLS mount is killed while files are written and read; the watchdog starts another on the same port,
# and the mount goes on with every byte in its place. After the unmount the tunnel and its files go.
# usage: killed_tunnel.sh DIRECTORY
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
directory=$1
fail() { echo "$*" >&2; exit 1; }
port=$(grep " $directory " /proc/mounts | grep -o 'port=[0-9]*' | cut -d= -f2)
state=$(ls /var/run/efs/fs-*".$port")
tunnel() { grep -o '"pid":[0-9]*' "$state" | cut -d: -f2; }
# mount.efs has started it: that is half of what is tested.
for ((tries = 0; ; tries++)); do
  if grep -lszx amazon-efs-mount-watchdog /proc/[0-9]*/cmdline > /mnt/watchdog; then break; fi
  [ "$tries" -lt 50 ] || fail 'mount.efs has not started the watchdog'
  sleep 0.1
done
head -c 12000000 /dev/urandom > /mnt/source
cp /mnt/source "$directory/steady"
exec 7> "$directory/held"
flock 7

# Writes a file again and again and reads it back past the cache.
writer() {
  local rounds=0
  until [ -e /mnt/stop ]; do
    dd if=/mnt/source of="$directory/stream-$1" bs=1M conv=fsync status=none
    dd if="$directory/stream-$1" bs=1M iflag=direct status=none | cmp - /mnt/source
    rounds=$((rounds + 1))
  done
  echo "$rounds" > "/mnt/rounds-$1"
}
reader() {
  local rounds=0
  until [ -e /mnt/stop ]; do
    dd if="$directory/steady" bs=1M iflag=direct status=none | cmp - /mnt/source
    rounds=$((rounds + 1))
  done
  echo "$rounds" > /mnt/rounds-reader
}
set -o pipefail
writer 1 & load=$!
writer 2 & load="$load $!"
reader & load="$load $!"

worst=0
for round in 1 2 3 4 5; do
  sleep "0.$((RANDOM % 9 + 1))"
  for process in $load; do kill -0 "$process" || fail "a writer or the reader ended before kill $round"; done
  echo "round $round" > "$directory/before-$round"
  old=$(tunnel)
  start=$(date +%s%N)
  kill -9 "$old"
  echo "after $round" > "$directory/after-$round"
  sync "$directory/after-$round"
  took=$((($(date +%s%N) - start) / 1000000))
  if [ "$took" -gt 5000 ]; then fail "the mount stood still for $took ms"; fi
  if [ "$took" -gt "$worst" ]; then worst=$took; fi
  # The state file tells the new process a moment after it serves.
  for ((tries = 0; ; tries++)); do
    new=$(tunnel)
    if [ "$new" != "$old" ] && kill -0 "$new"; then break; fi
    [ "$tries" -lt 50 ] || fail "no new tunnel is written down after kill $round"
    sleep 0.1
  done
  echo still >&7
done
touch /mnt/stop
for process in $load; do wait "$process"; done
test "$(cat "$directory"/after-*)" = "$(printf 'after %d\n' 1 2 3 4 5)"
test "$(cat "$directory/held")" = "$(printf 'still\n%.0s' 1 2 3 4 5)"
exec 7>&-
umount "$directory"
# 30 s from the mount, more than five looks, and 30 s of grace.
for ((tries = 0; ; tries++)); do
  left=$(ls -d /var/run/efs/*".$port" /var/run/efs/*".$port+" 2> /dev/null || true)
  if [ -z "$left" ]; then break; fi
  [ "$tries" -lt 90 ] || fail "not reaped 90 s after the unmount: $left"
  sleep 1
done
if kill -0 "$new" 2> /dev/null; then fail 'the files are gone and the tunnel is not'; fi
echo "5 kills, at most $worst ms, under $(cat /mnt/rounds-* | paste -sd +) rounds of load; reaped"
