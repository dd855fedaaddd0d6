#!/bin/bash
# A mount whose key is withheld and comes back, several times: every operation that reaches the server fails with an I/O
# error and nothing else, then all goes on: the same mount, the same open files, the same lock.
# usage: sealed.sh DIRECTORY MEET ROUND...
set -u
directory=$1 MEET=$2
shift 2
source "$(dirname "$0")/barrier.sh"
fail() { echo "$*" >&2; exit 1; }
drop() { echo 3 > /proc/sys/vm/drop_caches; }
cd "$directory" || exit 1
head -c 700 /dev/urandom > /mnt/small && cp /mnt/small small || fail 'cannot write'
head -c 9000000 /dev/urandom > /mnt/large && cp /mnt/large large || fail 'cannot write'
mkdir sub && ln -s target link && : > empty || fail 'cannot create'
exec 5<> large
exec 6<> held; flock 6 || fail 'cannot lock'
sync

# Runs a command that must fail with EIO and says what happened when it does not. The limit is for a mount that hangs.
refused() {
  local said
  if said=$(timeout 30 "$@" 2>&1 > /dev/null); then fail "$ROUND: '$*' was served without its key"; fi
  case $said in
  *'Input/output error'*) ;;
  *) fail "$ROUND: '$*' failed with: $said" ;;
  esac
}

# Reads the file that has been open all the time and writes the round's name at its start, through the same descriptor.
held() {
  python3 -c '
import os, sys
wanted, name = open("/mnt/large", "rb").read(), sys.argv[1].encode()
sys.exit("other bytes") if os.pread(5, len(wanted) + 1, 0) != wanted else None
os.pwrite(5, name, 0)
os.fsync(5)' "$1"
}

# Writes what is there already to the file that has been open all the time, through to the server.
rewrite() {
  python3 -c '
import os
os.pwrite(5, open("/mnt/large", "rb").read(16), 0)
os.fsync(5)'
}
# A lock on that file, on bytes that nobody else wants.
lock() {
  python3 -c '
import fcntl
fcntl.lockf(5, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 1000000)'
}
export -f rewrite lock

for ROUND in "$@"; do
  reach "$ROUND-ready"
  await "$ROUND-withheld"
  # At most 60 s until the first refusal; from then on everything is refused.
  for ((tries = 0; ; tries++)); do
    drop
    cat small > /dev/null 2>&1 || break
    [ "$tries" -lt 60 ] || fail "$ROUND: still served after 60 s"
    sleep 1
  done
  echo "$ROUND: refused after $tries s"
  drop
  refused cat small
  refused cat large
  refused stat small
  refused ls .
  refused readlink -v link
  refused stat -f .
  refused mkdir new
  refused ln small new
  refused ln -s target new
  refused dd if=/dev/zero of=new count=1
  refused touch small
  refused rm empty
  refused mv small other
  # Through the restart too: the client's open files and locks are reclaimed while the key is withheld.
  refused dd of=/dev/null bs=4096 count=1 iflag=direct <&5
  refused bash -c rewrite
  refused bash -c lock
  reach "$ROUND-refused"
  await "$ROUND-returned"
  for ((tries = 0; ; tries++)); do
    drop
    cat small > /dev/null 2>&1 && break
    [ "$tries" -lt 90 ] || fail "$ROUND: still refused 90 s after the key came back"
    sleep 1
  done
  cmp small /mnt/small && cmp large /mnt/large || fail "$ROUND: other content than before"
  held "$ROUND" || fail "$ROUND: the open file does not go on"
  printf '%s' "$ROUND" | dd of=/mnt/large conv=notrunc status=none
  mkdir "after-$ROUND" || fail "$ROUND: cannot create"
  test -e empty && test -L link && test ! -e new && test ! -L new || fail "$ROUND: a refused change was made all the same"
  # Another client looks whether the lock is still held.
  reach "$ROUND-goes-on"
  await "$ROUND-checked"
done
exec 5>&- 6>&-
cd /
cmp "$directory/large" /mnt/large || fail 'other content at the end'
echo "$# times withheld and back"
