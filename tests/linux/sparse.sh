#!/bin/bash
# A sparse file of 1 TiB in a mounted directory: written at both ends and in the middle, zero elsewhere, and small on disk.
# usage: sparse.sh DIRECTORY
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
file=$1/sparse
tib=$((1 << 40))
truncate -s $tib "$file"
put() { printf '%s' "$2" | dd of="$file" bs=1M oflag=seek_bytes seek="$1" conv=notrunc,fsync status=none; }
get() { dd if="$file" bs=64 count=1 iflag=skip_bytes,fullblock skip="$1" status=none | tr -d '\0'; }
put 0 'the first bytes'
put $((tib / 2 - 7)) 'across a boundary in the middle'
put $((tib - 14)) 'the last bytes'
echo 3 > /proc/sys/vm/drop_caches
test "$(stat -c %s "$file")" = $tib
test "$(get 0)" = 'the first bytes'
test "$(get $((tib / 2 - 7)))" = 'across a boundary in the middle'
test "$(get $((tib - 14)))" = 'the last bytes'
test -z "$(get $((tib / 4)))"
cmp -n 4194304 -i $((tib / 3)):0 "$file" /dev/zero
# Space used is what was written, not the size.
test "$(stat -c %b "$file")" -lt 8192
# Shrunk into a piece and grown again, the cut part reads as zeros.
truncate -s 9 "$file"
truncate -s 100 "$file"
echo 3 > /proc/sys/vm/drop_caches
test "$(get 0)" = 'the first'
test "$(stat -c %s "$file")" = 100
rm "$file"
echo '1 TiB, 3 places written'
