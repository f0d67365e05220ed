#!/bin/sh
# Write a backup of the stack's Redis while it runs: compose/backup.sh FILE
# It contains texts. COMPOSE is the command of Compose with its options, by default docker compose.
set -eu
file=${1:?"usage: compose/backup.sh FILE"}
compose=${COMPOSE:-docker compose -f $(dirname "$0")/compose.yaml}
umask 077
trap 'rm -f "$file.part"' EXIT
$compose run --rm --no-deps -T admin backup >"$file.part"
mv "$file.part" "$file"
