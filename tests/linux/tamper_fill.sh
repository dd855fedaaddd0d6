#!/bin/bash
# Fills a mounted directory with files of many sizes, each holding what its name says, and keeps nothing else of them.
# usage: tamper_fill.sh DIRECTORY | tamper_fill.sh DIRECTORY whole
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
cd "$1"
if [ "${2:-}" = whole ]; then
  # One file and nothing else, in whole MiB and past the cache: each write becomes extents of whole pieces.
  yes whole | nl | head -c 4194304 > /mnt/whole
  dd if=/mnt/whole of=whole bs=1M oflag=direct conv=fsync status=none
  exit
fi
for size in 1 100 4000 5000 60000 70000 300000 1100000 3000000; do
  for i in 1 2 3 4; do
    # The content follows from the name and the place, so that bytes served elsewhere are noticed.
    name=file-$size-$i
    yes "$name" | nl | head -c "$size" > "$name"
  done
done
sync
