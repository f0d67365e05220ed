#!/bin/sh
# Administer the stack's Redis, in a container of the service `admin`:
#   backup            write a snapshot of all data to standard output
#   restore           replace the data of the stopped Redis by the snapshot on standard input
#   cli COMMAND ...   run a command of Redis as the user admin
set -eu
data=/data
secrets=/run/secrets/hanner

password_in() { sed 's|^redis://admin:||; s|@.*||' "$1"; }
redis() { redis-cli -h redis --user admin --no-auth-warning "$@"; }

REDISCLI_AUTH=$(password_in "$secrets/broker-url")
export REDISCLI_AUTH
# Redis does not know a new password before it has loaded its users again.
if [ -e "$secrets/previous-url" ] && redis PING 2>&1 | grep -q WRONGPASS; then
  REDISCLI_AUTH=$(password_in "$secrets/previous-url")
fi

backup() {
  # Not to standard output: redis-cli would add the mark that ends the transfer.
  file=$(mktemp "$data/backup.XXXXXX")
  trap 'rm -f "$file"' EXIT
  redis --rdb "$file" >&2
  cat "$file"
}

restore() {
  # The name of a stopped container may take long to look up.
  if timeout 5 redis-cli -h redis PING >/dev/null 2>&1; then
    echo "Redis is running and would overwrite the data; stop it first" >&2
    return 1
  fi
  rm -rf "$data/restored"
  mkdir -m 700 "$data/restored"
  # Redis starts with an append-only file whose first part is the snapshot.
  cat >"$data/restored/appendonly.aof.1.base.rdb"
  echo "file appendonly.aof.1.base.rdb seq 1 type b" >"$data/restored/appendonly.aof.manifest"
  if ! redis-check-aof "$data/restored/appendonly.aof.manifest" >&2; then
    rm -rf "$data/restored"
    echo "this is not a backup that Redis can read; the data was not changed" >&2
    return 1
  fi
  sync
  rm -rf "$data/replaced"
  if [ -e "$data/appendonlydir" ]; then mv "$data/appendonlydir" "$data/replaced"; fi
  mv "$data/restored" "$data/appendonlydir"
}

case "${1:-}" in
  backup) backup ;;
  restore) restore ;;
  cli) shift && redis "$@" ;;
  *) echo "usage: backup | restore | cli COMMAND ..." >&2 && exit 2 ;;
esac
