#!/bin/bash
# Two clients in turn: what one closed, renamed, removed or locked, the other sees.
# usage: coherence.sh a|b DIRECTORY MEET
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
role=$1 directory=$2 MEET=$3
source "$(dirname "$0")/barrier.sh"
mkdir -p "$directory/coherence"
cd "$directory/coherence"
case $role in
a)
  echo one > file; mkdir sub; reach a1
  await b1
  # Close to open, the same size: only the change attribute tells.
  test "$(cat file)" = two
  test -e moved && test ! -e sub
  exec 6<> lock; flock 6; reach a2
  await b2
  flock -u 6; reach a3
  await b3
  # One of two wins a race for a name.
  for i in {1..50}; do mkdir "race-$i" 2> /dev/null && echo "$i" >> /mnt/won; done; reach a4
  await b4
  cp /mnt/won "$MEET/won.a" 2> /dev/null || : > "$MEET/won.a"; reach a5
  ;;
b)
  await a1
  test "$(cat file)" = one
  echo two > file; mv sub moved; reach b1
  await a2
  exec 6<> lock
  if flock -n 6; then echo 'a lock that the other holds was granted' >&2; exit 1; fi
  reach b2
  await a3
  flock -w 60 6; flock -u 6; reach b3
  for i in {1..50}; do mkdir "race-$i" 2> /dev/null && echo "$i" >> /mnt/won; done; reach b4
  await a5
  touch /mnt/won
  test "$(sort -n "$MEET/won.a" /mnt/won | uniq | wc -l)" = 50
  test "$(cat "$MEET/won.a" /mnt/won | wc -l)" = 50
  exec 6>&-; cd /; rm -r "$directory/coherence"
  ;;
esac
