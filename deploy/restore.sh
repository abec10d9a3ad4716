#!/bin/sh
# Puts a folder that backup.sh made in the place of what the running stack
# holds, and starts it again. Jobs that were under way when the copy was made are
# taken up by the next worker; leases never go back, since each is at least the
# time at which it is given.
set -eu
cd "$(dirname "$0")/.."

fail() {
	echo "restore: $*" >&2
	exit 1
}
from=${1:-}
[ "$from" ] || fail "which one? make restore FROM=backups/…"
(cd "$from" && sha256sum --check --quiet SHA256SUMS) || fail "$from is not whole: nothing was touched"

. deploy/lock.sh
containers() { docker ps --all --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1"; }
redis=$(containers redis)
services=$(containers receipts-api && containers receipts-worker)
[ "$redis" ] || fail "nothing of the project $project is there to restore into: make prod-up first"
image=$(docker inspect --format '{{.Image}}' "$redis")

# into runs a script in a volume, as its owner.
into() { docker run --rm --interactive --network none --cap-drop ALL --user "$2" --volume "${project}_$1:/volume" --workdir /volume --entrypoint sh "$image" -ec "$3"; }
# start starts containers, and waits until they are healthy.
start() {
	docker start "$@" >/dev/null
	tries=0
	until [ "$(docker inspect --format '{{.State.Health.Status}}' "$@" | sort -u)" = healthy ]; do
		tries=$((tries + 1))
		[ "$tries" -le 120 ] || fail "not healthy after two minutes: docker compose logs; what was there is in $replaced"
		sleep 1
	done
}

# The copy is written beside what is there, while everything runs. With
# append-only on, Redis reads only its append-only files: it becomes their base.
into redis 999:1000 'rm -rf .restoring; mkdir .restoring
cat >.restoring/appendonly.aof.1.base.rdb
echo "file appendonly.aof.1.base.rdb seq 1 type b" >.restoring/appendonly.aof.manifest' <"$from/redis.rdb" || fail "its Redis cannot be put beside what is there: nothing was touched"
into blobs 65532:65532 'rm -rf .restoring; mkdir .restoring; tar -C .restoring -xf -' <"$from/blobs.tar" ||
	fail "its files cannot be put beside what is there: nothing was touched"

# shellcheck disable=SC2086 # lists of ids
docker stop --time 30 $services $redis >/dev/null
replaced=.replaced-$(date -u +%Y-%m-%dT%H%M%SZ)
into redis 999:1000 "mkdir $replaced; [ ! -e appendonlydir ] || mv appendonlydir $replaced/; mv .restoring appendonlydir"
into blobs 65532:65532 "mkdir $replaced
find . -mindepth 1 -maxdepth 1 ! -name '.replaced-*' ! -name .restoring -exec mv {} $replaced/ ';'
find .restoring -mindepth 1 -maxdepth 1 -exec mv {} . ';'
rmdir .restoring"
start "$redis"
# shellcheck disable=SC2086 # a list of ids
start $services
echo "restored $from; make verify tells whether all is well"
echo "what was there is in $replaced in the volumes ${project}_redis and ${project}_blobs, until you remove it"
