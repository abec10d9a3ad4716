#!/usr/bin/env bash
# Runs the system with simulated Gmail, or ends it: deploy/demo.sh up|down [name].
#
# It runs beside what is deployed and shares nothing with it. Its project, volumes,
# networks and ports are its own, its secrets are in deploy/.demo, and none of its
# settings comes from .env or from the environment.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077

fail() {
	echo "demo: $*" >&2
	exit 1
}
[[ ${2-} =~ ^[a-z0-9_-]*$ ]] || fail "a name has small letters, digits, - and _"
project=receipts-demo${2:+-$2}
state=$PWD/deploy/.demo/$project

# Which image Redis has depends on the machine: this alone is as in .env.
redis_image=$(docker compose --file compose.yaml config --images redis)
version=${RECEIPTS_VERSION:-dev}
# shellcheck disable=SC2046 # names
unset GOOGLE_CLIENT_SECRET JWT_SECRET $(grep -o '\${[A-Z_]*' compose.yaml | tr -d '${') "${!COMPOSE_@}"
export RECEIPTS_VERSION=$version REDIS_IMAGE=$redis_image RECEIPTS_FILES=$state

compose() { docker compose --env-file /dev/null --project-name "$project" --file compose.yaml --profile demo "$@"; }
end() { compose down --volumes --remove-orphans && rm -rf "$state"; }

. deploy/hold.sh
there=$(docker ps --all --filter "label=com.docker.compose.project=$project" --filter label=receipts.files --format '{{.Label "receipts.files"}}' | sort -u)
[ "$there" = "$state" ] || [ ! "$there" ] ||
	fail "another checkout's demo is there, with the secrets in $there: end it with docker compose --project-name $project down --volumes, or start a second one with make demo DEMO=second"
if [ "$1" = down ]; then
	end
	exit
fi

# Without its secrets what the demo stored cannot be read.
[ -e "$state/ports" ] && [ "$there" ] || end
mkdir -p "$state"
deploy/init-secrets.sh "$state/secrets"
cp -Rp deploy/redis "$state/"

# free prints the first port from $1 that nothing listens on and no container,
# running or stopped, is to be published on.
bound=$(docker ps --all --quiet | xargs --no-run-if-empty docker inspect --format '{{range .HostConfig.PortBindings}}{{range .}}{{.HostPort}} {{end}}{{end}}' 2>/dev/null || true)
free() {
	local port=$1
	while [[ " ${bound//[[:space:]]/ } " == *" $port "* ]] || (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do
		port=$((port + 1))
	done
	echo "$port"
}
[ -e "$state/ports" ] || echo "$(free 8080) $(free 8025)" >"$state/ports"
read -r api gmail <"$state/ports"
export API_PUBLISH=127.0.0.1:$api GMAILSIM_PUBLISH=127.0.0.1:$gmail
export GOOGLE_REDIRECT_URL=http://127.0.0.1:$api/api/gmail/oauth/callback OAUTH_AUTH_URL=http://127.0.0.1:$gmail/o/oauth2/v2/auth
compose up --detach --no-build --wait --wait-timeout 120 --remove-orphans ||
	fail "it did not come up: docker compose --project-name $project logs shows why, make demo-down${2:+ DEMO=$2} removes it"

echo "The demo runs. To use it, open:"
echo "http://127.0.0.1:$api/signin#token=$(JWT_SECRET_FILE=$state/secrets/jwt_secret bin/token --business demo)"
echo "To end it: make demo-down${2:+ DEMO=$2}"
