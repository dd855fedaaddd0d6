#!/bin/bash
# Copies a tree into a mounted directory and compares it, past the client's cache.
# usage: copy_in.sh SOURCE DIRECTORY
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
source=$1 directory=$2
mkdir -p "$directory/tree"
tar -C "$source" -cf - . | tar -C "$directory/tree" -xpf -
sync
echo 3 > /proc/sys/vm/drop_caches
diff -r --no-dereference "$source" "$directory/tree"
echo "$(find "$directory/tree" | wc -l) entries"
