#!/bin/sh
# Replace workers, gateways and Flower by those of new images, after `docker compose build` or `pull`: compose/upgrade.sh
# New workers start before the old ones stop. Gateways are replaced one after the other: if there are two behind a proxy
# that retries (docs/how-to/proxy.md), no request is refused. Redis continues. COMPOSE is the command of Compose with its
# options, by default docker compose.
set -eu
compose=${COMPOSE:-docker compose -f $(dirname "$0")/compose.yaml}
timeout=180

wait_healthy() {
  for id in $($compose ps -q "$1"); do
    waited=0
    until [ "$(docker inspect --format '{{.State.Health.Status}}' "$id")" = healthy ]; do
      if [ "$waited" -ge "$timeout" ]; then
        echo "$1 is not healthy after $timeout s; see: $compose logs $1" >&2
        exit 1
      fi
      sleep 1
      waited=$((waited + 1))
    done
  done
}

# stop_one SERVICE ID: stop a container within the service's stop_grace_period, and remove it
stop_one() {
  docker stop "$2" >/dev/null
  docker rm "$2" >/dev/null
  echo "$1: replaced $(echo "$2" | cut -c1-12)"
}

scale() { $compose up --detach --no-deps --no-recreate --scale "$1=$2" "$1"; }

# The permissions of Redis' users may have changed.
$compose run --rm --no-deps -T init
$compose run --rm --no-deps -T admin cli ACL LOAD

# second-worker is among the services if its profile is active.
for service in $($compose config --services | grep -x -e worker -e second-worker); do
  workers=$($compose ps -q "$service")
  [ -n "$workers" ] || continue
  count=$(echo "$workers" | wc -l)
  scale "$service" $((2 * count))
  wait_healthy "$service"
  for id in $workers; do stop_one "$service" "$id"; done
done

gateways=$($compose ps -q gateway)
count=$(echo "$gateways" | wc -l)
[ "$count" -gt 1 ] || echo "there is one gateway, so requests are refused while it restarts; see docs/how-to/proxy.md" >&2
for id in $gateways; do
  stop_one gateway "$id"
  scale gateway "$count"
  wait_healthy gateway
done

$compose up --detach --no-deps flower
docker image prune --force --filter label=org.opencontainers.image.title=hanner
