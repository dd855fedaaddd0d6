#!/bin/bash
# Reads back what tamper_fill.sh wrote: each file, or each MiB of the one file, is as it was or is refused with an I/O error.
# Anything else, a name that is not there among it, is a failure.
# usage: tamper_look.sh DIRECTORY | tamper_look.sh DIRECTORY whole
cd "$1" || exit 1
served=0 refused='' count=0

# look NAME SKIP COUNT: what is wanted comes on standard input.
look() {
  cat > /mnt/wanted
  if timeout 60 dd if="$1" bs=1M skip="$2" count="$3" iflag=fullblock status=none > /mnt/found 2> /mnt/why; then
    if ! cmp -s /mnt/found /mnt/wanted; then
      echo "$1 from MiB $2: other bytes than were written" >&2
      exit 1
    fi
    served=$((served + 1))
  elif grep -q 'Input/output error' /mnt/why; then
    refused="$refused $1:$2" count=$((count + 1))
  else
    echo "$1 from MiB $2: neither served nor refused: $(cat /mnt/why)" >&2
    exit 1
  fi
}

if [ "${2:-}" = whole ]; then
  yes whole | nl | head -c 4194304 > /mnt/whole
  for mib in 0 1 2 3; do
    echo 3 > /proc/sys/vm/drop_caches
    look whole "$mib" 1 < <(dd if=/mnt/whole bs=1M skip="$mib" count=1 status=none)
  done
  echo "served $served, refused:$refused"
  exit
fi
for size in 1 100 4000 5000 60000 70000 300000 1100000 3000000; do
  for i in 1 2 3 4; do
    name=file-$size-$i
    look "$name" 0 9 < <(yes "$name" | nl | head -c "$size")
  done
done
if [ "$count" = 0 ]; then echo 'all served'; else echo "$served served, $count refused"; fi
