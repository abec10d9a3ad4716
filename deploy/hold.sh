# Sourced: holds the lock of $project, the same in every checkout, until the shell
# ends.
# shellcheck shell=sh
lock=/tmp/$project.lock
[ -e "$lock" ] || (umask 022 && : >"$lock")
exec 9<"$lock"
flock --nonblock 9 || {
	echo "$0: another one is at work on the project $project" >&2
	exit 1
}
