# Sourced, at the root of a checkout, by whatever changes what runs: sets project,
# and holds the project's lock, the same in every checkout, until the shell ends.
# shellcheck shell=sh
project=$(docker compose --file compose.yaml config | sed -n 's/^name: //p')
[ "$project" ] || {
	echo "$0: docker compose cannot read compose.yaml, or is missing: tools/install-docker.sh" >&2
	exit 1
}
lock=/tmp/$project.lock
[ -e "$lock" ] || (umask 022 && : >"$lock")
exec 9<"$lock"
flock --nonblock 9 || {
	echo "$0: another one is at work on the project $project" >&2
	exit 1
}
