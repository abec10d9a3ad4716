# Sourced, at the root of a checkout, by whatever changes what is deployed: sets
# project to production's, holds its lock, and refuses to touch what another
# checkout deployed.
# shellcheck shell=sh
project=$(grep '^name:' compose.prod.yaml | docker compose --file - config | sed -n 's/^name: //p')
[ "$project" ] || {
	echo "$0: docker compose cannot read compose.prod.yaml, or is missing: tools/install-docker.sh" >&2
	exit 1
}
. deploy/hold.sh
