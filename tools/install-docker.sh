#!/bin/sh
# Installs what the compose stack needs and this machine lacks, and starts the
# engine where none answers: Docker, the compose plugin (built from the versions
# that tools/docker-compose pins, since Debian has none), and what the stand-in
# for Redis's image is made of. As root with apt; else it says what is missing,
# and fails. Run twice it does nothing.
set -eu
cd "$(dirname "$0")"

have() { command -v "$1" >/dev/null 2>&1; }

missing=
have dockerd || docker info >/dev/null 2>&1 || missing="$missing docker.io"
have redis-server || missing="$missing redis-server"
have busybox || missing="$missing busybox-static"
if [ -n "$missing" ]; then
	if ! have apt-get || [ "$(id -u)" -ne 0 ]; then
		echo "The compose stack needs what this machine lacks: install$missing (as Debian calls them), then run this again." >&2
		exit 1
	fi
	echo "installing$missing"
	apt-get update -q
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -y $missing
fi

if ! docker compose version >/dev/null 2>&1; then
	module=github.com/docker/compose/v2
	version=$(GOWORK=off go -C docker-compose list -m -f '{{.Version}}' $module)
	plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
	echo "building docker compose $version"
	mkdir -p "$plugins"
	GOWORK=off CGO_ENABLED=0 go -C docker-compose build -trimpath \
		-ldflags "-s -w -X $module/internal.Version=$version" -o "$plugins/docker-compose" $module/cmd
fi

docker info >/dev/null 2>&1 && exit
log=/var/log/dockerd.log
echo "starting dockerd, which logs to $log"
nohup setsid dockerd >"$log" 2>&1 &
tries=0
until docker info >/dev/null 2>&1; do
	tries=$((tries + 1))
	if [ "$tries" -gt 60 ]; then
		echo "dockerd does not answer after a minute; its log ends:" >&2
		tail -n 20 "$log" >&2
		exit 1
	fi
	sleep 1
done
