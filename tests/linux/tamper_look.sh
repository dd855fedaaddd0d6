#!/bin/bash
# Reads back what tamper_fill.sh wrote: each file is as it was or is refused.
# usage: tamper_look.sh DIRECTORY
cd "$1" || exit 1
served=0 refused=0
for size in 1 100 4000 5000 60000 70000 300000 1100000 3000000; do
  for i in 1 2 3 4; do
    name=file-$size-$i
    if ! timeout 60 cat "$name" > /mnt/found 2> /mnt/why; then
      refused=$((refused + 1))
      continue
    fi
    yes "$name" | nl | head -c "$size" > /mnt/wanted
    if ! cmp -s /mnt/found /mnt/wanted; then
      echo "$name: other bytes than were written" >&2
      exit 1
    fi
    served=$((served + 1))
  done
done
if [ "$refused" = 0 ]; then echo 'all served'; else echo "$served served, $refused refused"; fi
