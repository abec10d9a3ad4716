# Sourced after lock.sh by backup.sh, restore.sh and restore-check.sh: finds what
# is deployed, opens copies, and loads them into a Redis that nobody else sees.
# shellcheck shell=sh disable=SC2154 # project is set by lock.sh

fail() {
	echo "$(basename "$0" .sh): $*" >&2
	exit 1
}
containers() { docker ps --all --quiet --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False --filter "label=com.docker.compose.service=$1"; }

# The services of Redis that are deployed, in the order of copying.
stores=''
for service in redis redis-store; do
	[ ! "$(containers $service)" ] || stores="$stores $service"
done
stores=${stores# }
[ "$stores" ] || fail "the project $project has no containers. If it was never deployed: make prod-up. If it was taken down: docker compose --file deploy/.deployed/compose.yaml up --no-start. Then run this again"
redis_image=$(docker inspect --format '{{.Image}}' "$(containers redis)")

composition=deploy/.deployed/compose.yaml
[ -e "$composition" ] || composition=compose.yaml

mkdir -p backups
rm -rf "$PWD"/backups/.work-* # of a run that was killed, which held this lock: they may be in clear
work=$(mktemp -d "$PWD/backups/.work-XXXXXX")
scratch=$project-scratch-redis
tidy() {
	docker rm --force "$scratch" >/dev/null 2>&1
	rm -rf "$work"
}

# Settings come from the environment and .env, as compose reads them.
grep '^name:' compose.prod.yaml | docker compose --file - config --environment >"$work/environment" || fail "docker compose cannot read .env: correct it, then run this again"
grep -E '^(BACKUP|AWS)_[A-Z0-9_]*=.' "$work/environment" >"$work/settings" || true # one that is empty is not set
setting() { sed -n "s/^$1=//p" "$work/settings"; }

# tool runs the program backup on this machine's files, as this user. Options of
# docker run come before --.
tool() {
	image=$(docker compose --file "$composition" --profile tools config --images backup) ||
		fail "this needs the image of backup: make images, then make prod-up"
	credentials=$(setting AWS_SHARED_CREDENTIALS_FILE)
	identity=$(setting BACKUP_IDENTITY_FILE)
	for file in "$credentials" "$identity"; do
		case $file in
		'') ;;
		/*) [ -r "$file" ] || fail "$file cannot be read" ;;
		*) fail "$file: write its whole path, which begins with /" ;;
		esac
	done
	docker run --rm --read-only --cap-drop ALL --security-opt no-new-privileges --user "$(id -u):$(id -g)" \
		--env-file "$work/settings" --mount "type=bind,source=$PWD/backups,target=$PWD/backups" --workdir "$PWD" \
		${credentials:+--mount "type=bind,source=$credentials,target=$credentials,readonly"} \
		${identity:+--mount "type=bind,source=$identity,target=$identity,readonly"} "$image" "$@"
}

# unpack puts the copy at $1 (a folder, a sealed file, or an address in S3) into
# the folder $copy, and checks that it is whole.
unpack() {
	case $1 in
	s3://* | *.tar.age)
		[ "$(setting BACKUP_IDENTITY_FILE)" ] || fail "$1 is sealed: set BACKUP_IDENTITY_FILE to the file with the age identity. Nothing was touched"
		copy=$work/copy
		mkdir "$copy"
		sealed=$1
		case $1 in
		s3://*) ;;
		*)
			sealed=$work/copy.tar.age
			cp "$1" "$sealed" || fail "$1 cannot be read. Nothing was touched"
			;;
		esac
		tool open "$sealed" "$copy" || fail "$1 cannot be opened. Nothing was touched"
		;;
	*)
		[ -d "$1" ] || fail "there is no copy $1. Nothing was touched"
		copy=$(cd "$1" && pwd)
		;;
	esac
	for file in redis.rdb blobs.tar SHA256SUMS; do
		[ -r "$copy/$file" ] || fail "$1 has no $file: it is not whole. Nothing was touched"
	done
	for file in "$copy"/*.rdb "$copy/blobs.tar"; do
		grep -q "  ${file##*/}\$" "$copy/SHA256SUMS" || fail "SHA256SUMS of $1 does not name ${file##*/}: it is not whole. Nothing was touched"
	done
	(cd "$copy" && sha256sum --check --quiet SHA256SUMS >&2) || fail "$1 is not whole. Nothing was touched"
	case " $stores " in
	*' redis-store '*) ;;
	*) [ ! -e "$copy/redis-store.rdb" ] || fail "$1 is of a system with two Redis, and one is deployed: deploy redis-store first (make prod-up). Nothing was touched" ;;
	esac
}

# in_volume runs a script in a volume as $2. Without volume-nocopy, Docker would
# give the root of an empty volume to another user.
in_volume() {
	docker run --rm --interactive --network none --cap-drop ALL --user "$2" --mount "type=volume,source=$1,target=/volume,volume-nocopy" \
		--workdir / --entrypoint sh "$redis_image" -ec "cd /volume
$3"
}

# made_by prints the version of Redis that made an RDB file.
made_by() { head -c 300 "$1" | LC_ALL=C tr -c '[:print:]' '\n' | sed -n '/^redis-ver$/{n;p;}'; }

# load has a Redis of the deployed image load the copy of the service $1 in the
# folder .restoring of the volume $2, and sets keys and receipts to what it holds.
# A copy from before redis-store holds all keys: each keeps its own.
load() {
	file=$copy/$1.rdb
	[ -e "$file" ] || file=$copy/redis.rdb
	in_volume "$2" 999:1000 'rm -rf .restoring; mkdir .restoring; cat >.restoring/copy.rdb' <"$file" ||
		fail "${file##*/} cannot be put into the volume $2. Nothing was touched"
	docker rm --force "$scratch" >/dev/null 2>&1 || true
	docker run --detach --name "$scratch" --network none --cap-drop ALL --user 999:1000 \
		--memory "$(docker inspect --format '{{.HostConfig.Memory}}' "$(containers "$1")")" \
		--mount "type=volume,source=$2,target=/data,volume-nocopy" --entrypoint redis-server "$redis_image" \
		--dir /data/.restoring --dbfilename copy.rdb --save '' --appendonly no >/dev/null
	until docker exec "$scratch" redis-cli info persistence 2>/dev/null | grep -q '^loading:0'; do
		[ "$(docker inspect --format '{{.State.Running}}' "$scratch")" = true ] || cannot_load "$file"
		sleep 0.2
	done
	if [ ! -e "$copy/redis-store.rdb" ] && [ "$stores" != redis ]; then
		# shellcheck disable=SC2046 # one container or several: the first one's setting is that of all
		prefix=$(docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' $(containers receipts-api) | sed -n 's/^QUEUE_PREFIX=//p' | head -n 1)
		in_scratch eval "local cursor = '0'
repeat
	local page = redis.call('SCAN', cursor, 'COUNT', 1000)
	cursor = page[1]
	for _, key in ipairs(page[2]) do
		if (key:sub(1, #ARGV[1]) == ARGV[1]) ~= (ARGV[2] == 'redis') then redis.call('DEL', key) end
	end
until cursor == '0'" 0 "${prefix:-"{receipts}"}:" "$1" >/dev/null
		in_scratch save >/dev/null
	fi
	keys=$(in_scratch dbsize)
	receipts=$(in_scratch eval "local cursor, count = '0', 0
repeat
	local page = redis.call('SCAN', cursor, 'MATCH', '*:by_date', 'COUNT', 1000)
	cursor = page[1]
	for _, key in ipairs(page[2]) do count = count + redis.call('ZCARD', key) end
until cursor == '0'
return count" 0)
	docker rm --force "$scratch" >/dev/null
}
in_scratch() { docker exec "$scratch" redis-cli -e "$@"; }

cannot_load() {
	log=$(docker logs --tail 5 "$scratch" 2>&1)
	runs=$(docker run --rm --network none --entrypoint redis-server "$redis_image" --version | sed 's/.* v=\([0-9.]*\) .*/\1/')
	case $log in
	*"handle RDB format"*) fail "${1##*/} was made by Redis $(made_by "$1"); this stack runs $runs, which cannot load it. Set REDIS_IMAGE to that version, make prod-up, then restore. Nothing was touched" ;;
	esac
	fail "Redis $runs cannot load ${1##*/}. Nothing was touched: $log"
}

# copied copies the running Redis of the service $1 to stdout.
# shellcheck disable=SC2016 # the secret is the container's to read
copied() {
	docker exec "$(containers "$1")" sh -ec 'export REDISCLI_AUTH="$(cat /run/secrets/redis_backup)"
trap "rm -f /data/backup.rdb" EXIT
redis-cli --user backup --rdb /data/backup.rdb >&2
cat /data/backup.rdb' # to - it would leave the end mark of the transfer in it
}
