#!/bin/bash
# The process behind a TLS mount is killed; the watchdog starts another on the same port, and the mount goes on.
# usage: killed_tunnel.sh DIRECTORY
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
directory=$1
port=$(grep " $directory " /proc/mounts | grep -o 'port=[0-9]*' | cut -d= -f2)
# The watchdog holds the listening socket, too, so the tunnel is found by its settings and not by the socket.
listener() { pgrep -f "efs-tunnel /.*\\.$port\$" | head -n 1; }
pgrep -f amazon-efs-mount-watchdog > /dev/null || (amazon-efs-mount-watchdog > /mnt/watchdog.log 2>&1 &)
exec 7> "$directory/held"
flock 7
worst=0
for round in 1 2 3; do
  echo "round $round" > "$directory/before-$round"
  old=$(listener)
  kill -9 "$old"
  start=$(date +%s%N)
  echo "after $round" > "$directory/after-$round"
  sync "$directory/after-$round"
  took=$((($(date +%s%N) - start) / 1000000))
  new=$(listener || true)
  test -n "$new" && test "$new" != "$old"
  if [ "$took" -gt 5000 ]; then echo "the mount stood still for $took ms" >&2; exit 1; fi
  if [ "$took" -gt "$worst" ]; then worst=$took; fi
  echo still >&7
done
test "$(cat "$directory"/after-*)" = $'after 1\nafter 2\nafter 3'
test "$(cat "$directory/held")" = $'still\nstill\nstill'
exec 7>&-
umount "$directory"
# After the unmount nobody listens any more.
for i in {1..60}; do
  if [ -z "$(listener || true)" ]; then echo "3 kills, at most $worst ms"; exit 0; fi
  sleep 1
done
echo "the tunnel on port $port was not reaped in 60 s" >&2
exit 1
