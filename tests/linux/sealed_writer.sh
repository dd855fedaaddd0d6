#!/bin/bash
# A client that writes at full speed while its key is taken away and comes back, several times.
# usage: sealed_writer.sh DIRECTORY MEET ROUND...
exec python3 "$(dirname "$0")/sealed_writer.py" "$@"
