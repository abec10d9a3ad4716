#!/bin/sh
# Copies Redis and the blobs of the running stack, together, into one folder of
# backups/ named after the moment. Nothing stops for it. The secrets are not in
# it: without token_keys a restored system asks everybody to reconnect Gmail.
set -eu
cd "$(dirname "$0")/.."
umask 077

. deploy/lock.sh
redis=$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=redis)
[ "$redis" ] || {
	echo "backup: no redis of the project $project runs" >&2
	exit 1
}
folder=backups/$(date -u +%Y-%m-%dT%H%M%SZ)
mkdir -p backups
partial=$(mktemp -d backups/.partial-XXXXXX)
trap 'rm -rf "$partial"' EXIT

# Redis first: a file is written before the receipt that names it, so that every
# receipt in the copy finds its file.
# shellcheck disable=SC2016 # the secret is the container's to read
docker exec "$redis" sh -ec 'export REDISCLI_AUTH="$(cat /run/secrets/redis_backup)"
redis-cli --user backup --rdb /data/backup.rdb >&2
cat /data/backup.rdb
rm /data/backup.rdb' >"$partial/redis.rdb" # to - it would leave the end mark of the transfer in it
# What a restore left there, .replaced-…, is not the system's.
# shellcheck disable=SC2016 # the names are the container's to read
docker run --rm --network none --cap-drop ALL --user 65532:65532 --volume "${project}_blobs:/blobs:ro" --workdir /blobs --entrypoint sh \
	"$(docker inspect --format '{{.Image}}' "$redis")" -ec 'set -- *; [ -e "$1" ] || set -- --no-recursion .; tar -cf - "$@"' >"$partial/blobs.tar"
(cd "$partial" && sha256sum redis.rdb blobs.tar >SHA256SUMS)
mv "$partial" "$folder"
echo "$folder"
