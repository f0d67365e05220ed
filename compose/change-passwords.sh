#!/bin/sh
# Give users of Redis new passwords: compose/change-passwords.sh [worker|gateway|flower|app|admin ...], by default all.
# The old and the new ones are valid while the services restart; requests wait in Redis meanwhile. COMPOSE is the command
# of Compose with its options, by default docker compose.
set -eu
compose=${COMPOSE:-docker compose -f $(dirname "$0")/compose.yaml}
secrets() { $compose run --rm --no-deps -T init python /etc/hanner/make_secrets.py /volumes/secrets "$@"; }
secrets renew "$@"
$compose run --rm --no-deps -T admin cli ACL LOAD
$compose restart worker gateway flower
secrets
$compose run --rm --no-deps -T admin cli ACL LOAD
