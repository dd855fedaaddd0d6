# Sourced by scripts that run in two clients at once: they meet at names in a directory that both share with the machine
# (not the one under test). MEET is that directory.

# Says that this client has come so far.
reach() { : > "$MEET/$1"; }

# Waits, for at most 120 s, until the other one has.
await() {
  local tries=0
  until [ -e "$MEET/$1" ]; do
    sleep 0.05
    if [ $((tries += 1)) -gt 2400 ]; then
      echo "nobody reached $1 in 120 s" >&2
      exit 1
    fi
  done
}
