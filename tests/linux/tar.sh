#!/bin/bash
# Copies a real tree in and out of a mounted directory with tar and compares every byte, mode, time and link.
# usage: tar.sh DIRECTORY SOURCE
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
directory=$1 source=$2
mkdir "$directory/tar"
tar -C "$source" -cf - . | tar -C "$directory/tar" -xpf -
sync
echo 3 > /proc/sys/vm/drop_caches
# The comparison of contents, then of what tar keeps of the attributes, hard links by their count (a directory's size and
# links are each file system's own business, and nfs-ganesha does not keep a symlink's time).
diff -r --no-dereference "$source" "$directory/tar"
list() { (cd "$1" && find . -printf '%y %m %U %G %s %T@ %n %l %p\n' | sed -E 's/^(d [0-7]+ [0-9]+ [0-9]+) [0-9]+ ([0-9.]+) [0-9]+/\1 \2/; s/^(l [0-7]+ [0-9]+ [0-9]+ [0-9]+) [0-9.]+/\1/; s/(\.[0-9]{9})[0-9]*/\1/' | LC_ALL=C sort); }
diff <(list "$source") <(list "$directory/tar")
# Out again, from the mounted tree.
mkdir /mnt/tar-out
tar -C "$directory/tar" -cf - . | tar -C /mnt/tar-out -xpf -
diff -r --no-dereference "$source" /mnt/tar-out
entries=$(find "$directory/tar" | wc -l)
rm -rf "$directory/tar" /mnt/tar-out
test ! -e "$directory/tar"
echo "$entries entries in and out"
