#!/bin/sh
# Puts a copy that backup.sh made in the place of what the deployed stack holds.
# Everything is checked while the system runs. If anything fails after the stop,
# the old contents come back. If this script itself was killed, its next run puts
# them back first. Jobs that were under way when
# the copy was made are taken up by the next worker; leases never go back, since
# each is at least the time at which it is given.
set -eu
cd "$(dirname "$0")/.."
umask 077

. deploy/lock.sh
. deploy/copy.sh
from=${1:-}
limit=${RESTORE_WAIT:-120}
parts="$stores blobs"
stopped=''

owner() { [ "$1" = blobs ] && echo 65532:65532 || echo 999:1000; }
each() { in_volume "${project}_$1" "$(owner "$1")" "$2" </dev/null; }
services() { containers receipts-api && containers receipts-worker; }
stop() {
	# shellcheck disable=SC2046 # lists of ids
	docker stop --time 30 $(services) $(for store in $stores; do containers "$store"; done) >/dev/null
}

# start starts everything, and fails where it is not healthy in time. A Redis that
# is still loading has as long as it needs.
start() {
	for store in $stores; do
		container=$(containers "$store")
		docker start "$container" >/dev/null || return 1
		tries=0
		until reply=$(docker exec "$container" redis-cli --no-auth-warning --user health --pass any ping 2>&1) && [ "$reply" = PONG ]; do
			case $reply in *LOADING*) ;; *) tries=$((tries + 1)) ;; esac
			[ "$tries" -le "$1" ] || return 1
			sleep 1
		done
	done
	# shellcheck disable=SC2046 # lists of ids
	docker start $(services) >/dev/null || return 1
	tries=0
	# shellcheck disable=SC2046 # lists of ids
	until [ "$(docker inspect --format '{{.State.Health.Status}}' $(services) | sort -u)" = healthy ]; do
		tries=$((tries + 1))
		[ "$tries" -le "$1" ] || return 1
		sleep 1
	done
}

# The file .restore in a volume names the step of its swap and the folder of the old
# contents. "stopped": nothing was moved. "out": the old contents are being moved to
# the folder. "in": all of them are there. That of redis is the first to be written
# and the last to be removed: it decides whether a restore is unfinished.
#
# Nothing is deleted on the way. Contents that are in the way of the old ones, the
# copy's or what was written since, are moved aside to .undone-….
# shellcheck disable=SC2016 # names of the container
steps='mark() {
	echo "$*" >.restore.new
	mv .restore.new .restore
}
# move FROM TO moves every entry but our own folders, and fails at the first that cannot be.
move() {
	for entry in "$1"/* "$1"/.[!.]*; do
		case ${entry##*/} in .replaced-* | .undone-* | .restoring | .restore | .restore.new) continue ;; esac
		[ -e "$entry" ] || [ -L "$entry" ] || continue
		mv "$entry" "$2/"
	done
}
'
# shellcheck disable=SC2016 # as above
undo='[ -e .restore ] || {
	rm -rf .restoring .restore.new
	exit 0
}
read -r state replaced <.restore
undone=.undone-${replaced#.replaced-}
[ "$state" != in ] || {
	mkdir -p "$undone"
	move . "$undone"
	mark out "$replaced"
}
[ ! -d "$replaced" ] || {
	for entry in "$replaced"/* "$replaced"/.[!.]*; do
		[ -e "$entry" ] && [ -e "./${entry##*/}" ] || continue
		mkdir -p "$undone"
		mv "./${entry##*/}" "$undone/"
	done
	move "$replaced" .
	rmdir "$replaced"
}
rm -rf .restoring
mark stopped "$replaced"'
# shellcheck disable=SC2016 # as above
swap='mkdir "$replaced"
mark out "$replaced"
move . "$replaced"
mark in "$replaced"
move .restoring .
rmdir .restoring'

go_back() {
	backwards=''
	for part in $parts; do backwards="$part $backwards"; done
	stop
	for part in $backwards; do
		each "$part" "$steps$undo" || fail "what was there could not be put back into the volume ${project}_$part: make restore tries again"
	done
	start 120 || fail "what was there before is back, but is not healthy: docker compose --file $composition ps. Then make restore tries again"
	for part in $backwards; do each "$part" 'rm -f .restore'; done
	echo "restore: what was there before is back, and runs" >&2
}
end() {
	code=$?
	trap - EXIT
	trap '' HUP INT TERM
	set +e
	if [ "$stopped" ]; then
		echo "restore: failed: putting back what was there" >&2
		go_back
	else
		for part in $parts; do each "$part" 'rm -rf .restoring'; done
	fi
	tidy
	exit "$code"
}
trap end EXIT
trap 'exit 1' HUP INT TERM

# ---- A restore that was killed is undone first.

if [ "$(each redis '[ ! -e .restore ] || echo yes')" ]; then
	echo "restore: the last restore was killed: putting back what was there" >&2
	go_back
	[ "$from" ] || exit 0
fi
for part in $parts; do each "$part" 'rm -f .restore .restore.new'; done
[ "$from" ] || fail "which copy? make restore FROM=backups/…"

# ---- Everything is checked while the system runs.

unpack "$from"
[ "$(services)" ] || fail "neither receipts-api nor receipts-worker is deployed: make prod-up first. Nothing was touched"
for store in $stores; do
	each "$store" '[ -d appendonlydir ]' || fail "the volume ${project}_$store has no appendonlydir: Redis would not read the copy. Set appendonly yes, make prod-up, then restore. Nothing was touched"
	load "$store" "${project}_$store"
	echo "restore: $store loads: $keys keys, $receipts receipts" >&2
	# With append-only on, Redis reads only its append-only files: the copy becomes their base.
	each "$store" 'mkdir .restoring/appendonlydir
mv .restoring/copy.rdb .restoring/appendonlydir/appendonly.aof.1.base.rdb
echo "file appendonly.aof.1.base.rdb seq 1 type b" >.restoring/appendonlydir/appendonly.aof.manifest'
done
in_volume "${project}_blobs" 65532:65532 'rm -rf .restoring; mkdir .restoring; tar -C .restoring -xf -' <"$copy/blobs.tar" ||
	fail "blobs.tar cannot be unpacked beside what is there. Nothing was touched"

# ---- From here on, whatever ends this goes back.

replaced=.replaced-$(date -u +%Y-%m-%dT%H%M%SZ)
stopped=yes
each redis "${steps}mark stopped $replaced"
stop
for part in $parts; do each "$part" "${steps}replaced=$replaced
$swap"; done
start "$limit" || fail "not everything is healthy after $limit s"

# ---- Healthy: the copy stays.

trap '' HUP INT TERM
each redis 'rm .restore'
stopped=''
space=''
for part in $parts; do
	each "$part" "rm -f .restore
find . -mindepth 1 -maxdepth 1 '(' -name '.replaced-*' -o -name '.undone-*' ')' ! -name $replaced -exec rm -rf {} ';'"
	space="$space, $part $(each "$part" "du -sk $replaced" | cut -f 1) kB"
done
echo "restored $from; make verify checks whether all is well"
echo "what was there is in $replaced of each volume (${space#, }), until the next restore or:"
for part in $parts; do
	echo "docker run --rm --user $(owner "$part") --mount type=volume,source=${project}_$part,target=/volume,volume-nocopy --entrypoint sh $redis_image -c 'rm -rf /volume/.replaced-*'"
done
