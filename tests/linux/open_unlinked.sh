#!/bin/bash
# A file that one client holds open is removed by the other; the first goes on reading and writing it.
# usage: open_unlinked.sh keeper|remover DIRECTORY MEET
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
role=$1 file=$2/unlinked MEET=$3
source "$(dirname "$0")/barrier.sh"
case $role in
keeper)
  head -c 3000000 /dev/urandom > /mnt/kept
  cp /mnt/kept "$file"
  # Python, since a shell cannot read at a place of an open file without opening it again.
  export MEET file
  python3 - <<'PYTHON'
import os, time

def reach(name): open(f"{os.environ['MEET']}/{name}", "w").close()

def await_(name):
    end = time.monotonic() + 120
    while not os.path.exists(f"{os.environ['MEET']}/{name}"):
        assert time.monotonic() < end, f"nobody reached {name} in 120 s"
        time.sleep(0.05)

def drop():
    with open("/proc/sys/vm/drop_caches", "w") as caches: caches.write("3")

kept = open("/mnt/kept", "rb").read()
file = os.open(os.environ["file"], os.O_RDWR)
reach("opened")
await_("removed")
drop()
assert os.pread(file, len(kept) + 1, 0) == kept, "other bytes after the removal"
text = b"written after the removal"
os.pwrite(file, text, 0)
os.fsync(file)
drop()
assert os.pread(file, len(kept) + 1, 0) == text + kept[len(text):], "other bytes after the write"
# nfs-ganesha reads and writes such a file but has lost its attributes.
if os.environ["SERVER"] != "ganesha":
    assert os.fstat(file).st_size == len(kept)
    assert os.fstat(file).st_nlink == 0, "a removed file still counts a link"
os.close(file)
PYTHON
  reach closed
  ;;
remover)
  await opened
  test "$(stat -c %s "$file")" = 3000000
  rm "$file"
  test ! -e "$file"
  reach removed
  # The name is free for another object at once.
  echo other > "$file"
  await closed
  test "$(cat "$file")" = other
  rm "$file"
  ;;
esac
