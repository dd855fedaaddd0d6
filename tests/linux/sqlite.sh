#!/bin/bash
# Three processes write one sqlite database in a mounted directory: byte-range locks, fsync, truncate, a journal that
# comes and goes.
# usage: sqlite.sh DIRECTORY [ROWS]
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
directory=$1 rows=${2:-60}
database=$directory/database.sqlite
sqlite3 "$database" 'create table entry (writer integer, number integer, text text, primary key (writer, number));'
writer() {
  for ((number = 0; number < rows; number++)); do
    sqlite3 -cmd '.timeout 120000' "$database" \
      "begin immediate; insert into entry values ($1, $number, hex(randomblob(200))); commit;" || return 1
  done
}
writer 1 & first=$!
writer 2 & second=$!
writer 3 & third=$!
wait $first && wait $second && wait $third
echo 3 > /proc/sys/vm/drop_caches
test "$(sqlite3 "$database" 'pragma integrity_check;')" = ok
test "$(sqlite3 "$database" 'select count(*), count(distinct writer) from entry;')" = "$((3 * rows))|3"
test ! -e "$database-journal"
rm "$database"
echo "$((3 * rows)) rows by 3 writers"
