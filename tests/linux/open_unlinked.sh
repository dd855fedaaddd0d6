#!/bin/bash
# A file that one client holds open is removed by the other; the first goes on reading and writing it.
# usage: open_unlinked.sh keeper|remover DIRECTORY MEET
set -eu
role=$1 file=$2/unlinked MEET=$3
source "$(dirname "$0")/barrier.sh"
case $role in
keeper)
  head -c 3000000 /dev/urandom > /mnt/kept
  cp /mnt/kept "$file"
  exec 5<> "$file"
  reach opened
  await removed
  echo 3 > /proc/sys/vm/drop_caches
  cmp /proc/self/fd/5 /mnt/kept
  printf 'written after the removal' >&5
  sync /proc/self/fd/5
  echo 3 > /proc/sys/vm/drop_caches
  test "$(head -c 25 /proc/self/fd/5)" = 'written after the removal'
  cmp -i 25 /proc/self/fd/5 /mnt/kept
  test ! -e "$file"
  exec 5>&-
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
