#!/bin/bash
# Unpacks an archive in a mounted directory, compares, removes, again and again until the stop file is there. Any message
# of tar or rm is a failure: an object that is there already, or not there any more, was acknowledged otherwise.
# usage: untar_again.sh DIRECTORY NAME ARCHIVE STOP
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
directory=$1/$2 archive=$3 stop=$4
mkdir -p /mnt/compare
tar -C /mnt/compare -xpf "$archive"
rounds=0
while [ ! -e "$stop" ]; do
  mkdir "$directory"
  said=$(tar -C "$directory" -xpf "$archive" 2>&1) || { echo "tar: $said" >&2; exit 1; }
  [ -z "$said" ] || { echo "tar: $said" >&2; exit 1; }
  diff -r --no-dereference /mnt/compare "$directory"
  rm -r "$directory"
  rounds=$((rounds + 1))
done
echo "$rounds untars"
