#!/bin/sh
# Replace all data of the stack's Redis by a backup: compose/restore.sh FILE
# Workers, gateway and Flower may run. COMPOSE is the command of Compose with its options, by default docker compose.
set -eu
file=${1:?"usage: compose/restore.sh FILE"}
compose=${COMPOSE:-docker compose -f $(dirname "$0")/compose.yaml}
exec <"$file"
$compose stop redis </dev/null
trap '$compose start redis </dev/null' EXIT # with the old data, if the backup cannot be read
$compose run --rm --no-deps -T admin restore
