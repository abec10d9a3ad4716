#!/usr/bin/env bash
# Deploys what compose.yaml and compose.prod.yaml say, and proves it; where
# anything is wrong it says what, goes back to what ran before, and fails.
#
# What it deploys is a copy: the composition with every setting filled in, each
# image under a name that stays its own, and the secrets and settings that it mounts, under
# deploy/.deployed. The last copy that was proven stays there, so that going back
# is to all of it, whatever has been edited, built or tagged since.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077

state=deploy/.deployed
needed_compose=2.24.4
wait_seconds=120

say() { echo "prod-up: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

composition() { docker compose --file compose.yaml --file compose.prod.yaml "$@"; }
next() { docker compose --file "$state/next.yaml" "$@"; }
containers() { docker ps --quiet --no-trunc --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False "$@"; }

# verify checks from inside what runs by the composition next or compose; look
# checks from here, by the same program.
verify() {
	timeout --foreground 180 docker compose --file "$state/$1.yaml" run --rm --no-TTY ${VERIFY_TOKEN:+--env VERIFY_TOKEN} ${TOKEN_KEYS_LOST:+--env TOKEN_KEYS_LOST} \
		verify --wait 30s "${@:2}" </dev/null
}
look() { COMPOSE_FILE=$state/next.yaml "$state/verify" "$@"; }

# tell prints a line of each container: who it is, and how often it has exited.
tell() { containers --all | xargs --no-run-if-empty docker inspect --format '{{.Id}} {{.Name}} exited {{.RestartCount}} times' 2>/dev/null | sort || true; }
# exited prints the containers that have exited and should not have: new ones at
# any time, and those that ran before once everything is in place.
exited() {
	comm -13 <(echo "$known") <(tell) | grep --invert-match ' exited 0 times$' |
		grep --invert-match --fixed-strings --file <([ "$placed" ] || printf '%s' "$before")
}

docker info >/dev/null 2>&1 || fail "no docker engine answers: tools/install-docker.sh, or start it"
version=$(docker compose version --short) || fail "docker compose is missing: tools/install-docker.sh"
[ "$(printf '%s\n' "$needed_compose" "${version#v}" | sort --version-sort | head -n 1)" = "$needed_compose" ] ||
	fail "docker compose is $version: $needed_compose is the least"
. deploy/lock.sh

# ---- Before anything changes.

mkdir -p "$state"
chmod 0700 "$state"
# What nothing goes back to keeps no copy of the secrets.
forget() {
	local mounted
	# After a prod-up that was killed, containers mount a copy that compose.yaml does not name.
	mounted=$(docker ps --all --filter "label=com.docker.compose.project=$project" --format '{{.Label "receipts.files"}}') || return 0
	for copy in "$state"/files-*; do
		[[ $mounted != *"/${copy##*/}"* ]] || continue
		grep --quiet --no-messages --fixed-strings "/${copy##*/}/" "$state/compose.yaml" || rm -rf "$copy"
	done
}
trap forget EXIT

# A misspelt name would be left out without a word. Known are the names that the
# compose files and .env.example have, and those that only scripts and compose read.
known_names() {
	cat deploy/env.names
	sed -n 's/^#\{0,1\}\([A-Z][A-Z0-9_]*\)=.*/\1/p' .env.example
	find compose*.yaml deploy -name 'compose*.yaml' ! -path '*/.*' -exec grep --only-matching --no-filename '\${[A-Z][A-Z0-9_]*' {} + | cut -c 3-
}
if [ -e .env ]; then
	unknown=$(known_names | awk -f deploy/env.awk - .env)
	[ ! "$unknown" ] || fail ".env has names that nothing reads: correct them or take them out:"$'\n'"$unknown"
fi

composition config --quiet || fail "the compose files cannot be used"
for service in redis receipts-api receipts-worker; do
	[[ $'\n'$(composition config --services)$'\n' == *$'\n'"$service"$'\n'* ]] || fail "the compose files start no $service"
done
composition --profile tools config | sed -n 's/^ *file: //p' | while read -r file; do
	[ -s "$file" ] || fail "$file is missing or empty: deploy/init-secrets.sh makes every secret"
	[ -n "$(find "$file" -perm -004)" ] || fail "$file cannot be read by the containers' users: chmod 0444 $file"
done
prefix=$(composition config | sed -n 's/^ *QUEUE_PREFIX: //p' | tr -d "\"'" | sort -u)
[ "$prefix" ] || prefix='{receipts}'
grep --quiet --fixed-strings " ~$prefix " deploy/secrets/redis_acl ||
	fail "the users of Redis may not reach $prefix: rm -f deploy/secrets/redis_acl, then QUEUE_PREFIX='$prefix' deploy/init-secrets.sh"

copy=$state/files-$(cd deploy && sha256sum redis/redis.conf secrets/* | sha256sum | cut -c 1-12)
if [ ! -d "$copy" ]; then
	rm -rf "$state/files-partial"
	mkdir "$state/files-partial"
	cp -Rp deploy/redis deploy/secrets "$state/files-partial/"
	mv "$state/files-partial" "$copy"
fi
RECEIPTS_FILES=./$copy composition --profile '*' config >"$state/next.yaml"
next --profile tools pull --quiet --policy missing || fail "an image is missing: make images builds ours; pull that of Redis, or write REDIS_IMAGE into .env (tools/redis-image.sh makes one)"
for image in $(next --profile tools config --images | sort -u); do
	[[ $image != sha256:* ]] || continue
	id=$(docker image inspect --format '{{.Id}}' "$image")
	# Under a name that shows the version, and that no build gives to another image.
	name=${image%@*}
	[[ ${name##*/} == *:* ]] || name=$name:latest
	docker tag "$id" "$name-${id:7:12}"
	sed -i "s|^\( *image: \)$image\$|\1$name-${id:7:12}|" "$state/next.yaml"
done
program=$(docker create "$(next --profile tools config --images verify)")
docker cp "$program:/verify" - | tar -xC "$state"
docker rm "$program" >/dev/null
look --only config || fail "verify found a fault in the compose files"

# Services that start on half a restore would write into what it is to put back.
! docker volume inspect "${project}_redis" >/dev/null 2>&1 || docker run --rm --network none --user 999:1000 \
	--mount "type=volume,source=${project}_redis,target=/volume,volume-nocopy" --entrypoint sh "$(next config --images redis)" -c '[ ! -e /volume/.restore ]' ||
	fail "a restore is unfinished, and make restore puts back what was there. If the stack was taken down, first: docker compose --file $state/compose.yaml up --no-start"

before=$(containers --all)
first=$(grep --quiet --no-messages --line-regexp "name: $project" "$state/compose.yaml" || echo yes)
[ ! "$first" ] || [ ! "$before" ] ||
	fail "what is there was not started by prod-up, which could not go back to it. To end it and keep its volumes: docker compose --project-name $project down"

# loading reports whether Redis is reading its append-only file, which takes as
# long as the file is large.
loading() {
	docker exec "$(containers --filter label=com.docker.compose.service=redis)" \
		redis-cli --no-auth-warning --user health --pass any ping 2>&1 | grep --quiet '^LOADING'
}
# settle waits while Redis loads, and then until every healthcheck has seen that it
# has: compose gives up a container that is unhealthy already. It fails where that
# is not the reason.
settle() {
	local began=$SECONDS said=0 end
	[ "$(containers --filter health=unhealthy)" ] || loading || return 1
	say "not everything is healthy yet: waiting, then trying again"
	while loading; do
		[ "$SECONDS" -lt "$said" ] || {
			say "Redis is loading its data, $((SECONDS - began)) s so far"
			said=$((SECONDS + 10))
		}
		sleep 1
	done
	end=$((SECONDS + 30))
	while [ "$(containers --filter health=unhealthy)" ]; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.5
	done
}

# ---- From here on, whatever ends this goes back.

go_back() {
	if [ "$up" ]; then # two at once would fight
		# An engine goes on with a stop whose client is gone, and would take down what
		# going back found running: what is being put in place may end first.
		[ "$placed" ] || timeout 40 tail --pid="$up" --follow /dev/null
		kill -- "-$up" 2>/dev/null
		wait "$up"
	fi
	for container in $(containers --all); do
		how=$(docker inspect --format '{{.State.Status}}{{if .State.Health}}, {{.State.Health.Status}}{{end}}, exited {{.RestartCount}} times' "$container")
		[[ $how == 'running, healthy, exited 0 times' && $before == *$container* ]] || {
			say "$(docker inspect --format '{{.Name}}' "$container") is $how; its log ends:"
			docker logs --tail 30 "$container" >&2
		}
	done
	if [ "$first" ]; then
		next --profile '*' down && say "nothing ran before, and nothing runs now"
		return
	fi
	for _ in 1 2 3; do
		docker compose --file "$state/compose.yaml" up --detach --no-build --wait --wait-timeout "$wait_seconds" --remove-orphans &&
			verify compose --only registry && say "went back to what ran before, which is healthy" && return
		settle || true
	done
	say "WENT BACK TO WHAT RAN BEFORE, WHICH IS NOT HEALTHY: docker compose -f $state/compose.yaml ps --all shows what is not"
}
end() {
	trap - EXIT
	trap '' HUP INT TERM PIPE
	set +e
	[ "$proven" ] || go_back
	forget
	[ "$proven" ] && exit 0
	exit 1
}
up='' placed='' proven='' known=''
trap end EXIT
trap 'exit 1' HUP INT TERM PIPE

# await repeats a check for half a minute.
await() {
	local end=$((SECONDS + 30))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.5
	done
}

# bring runs up in a group of its own, so that the plugin that does the work ends
# with it. It tries again where containers needed longer than compose waits.
bring() {
	for _ in 1 2 3; do
		setsid docker compose --file "$state/next.yaml" up --detach --no-build --remove-orphans "$@" &
		up=$!
		local end=$((SECONDS + wait_seconds + 10))
		while kill -0 "$up" 2>/dev/null; do
			! culprits=$(exited) || fail "a container has exited: $culprits"
			[ "$SECONDS" -lt "$end" ] || loading || fail "not everything came up in time"
			sleep 0.5
		done
		! wait "$up" || {
			up=''
			return
		}
		up=''
		settle || break
	done
	fail "not everything came up"
}
bring
known=$(tell | grep --fixed-strings --file <(printf '%s' "$before") || true)
placed=yes
bring --wait --wait-timeout "$wait_seconds"

says_start() { [[ $(docker logs "$1" 2>&1) == *'🔔 WORKER_START'* ]]; }
workers=$(containers --filter label=com.docker.compose.service=receipts-worker)
[ "$workers" ] || fail "receipts-worker does not run"
for worker in $workers; do
	[ "$(docker inspect --format '{{.State.Health.Status}}' "$worker")" = healthy ] || fail "receipts-worker is not healthy"
	# Of one that ran before the line may be gone by now.
	[[ $before == *$worker* ]] || await says_start "$worker" || fail "receipts-worker has not logged WORKER_START"
done
look --only containers --only drift --wait 30s || fail "verify found a fault in the containers"
verify next --only registry || fail "receipts-worker is not in the registry as it must be"
verify next --only redis --only api --only flow --only metrics || fail "verify found a fault"
! culprits=$(exited) || fail "a container has exited meanwhile: $culprits"

# ---- Proven: this is what the next one goes back to.

mv "$state/next.yaml" "$state/compose.yaml"
proven=yes
say "deployed and verified in $SECONDS s"
