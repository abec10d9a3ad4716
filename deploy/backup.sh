#!/bin/sh
# Copies Redis and the blobs of the running stack, together, under the moment's
# name in backups/: as a folder, or as one sealed file with BACKUP_RECIPIENT. With
# BACKUP_URL the sealed file goes to S3 too. Nothing stops for it. The secrets are
# not in it: without token_keys a restored system asks everybody to reconnect Gmail.
set -eu
cd "$(dirname "$0")/.."
umask 077

. deploy/lock.sh
. deploy/copy.sh
trap tidy EXIT
trap 'exit 1' HUP INT TERM

recipient=$(setting BACKUP_RECIPIENT)
url=$(setting BACKUP_URL)
keep=$(setting BACKUP_KEEP)
keep=${keep:-14}
[ ! "$url" ] || [ "$recipient" ] || fail "BACKUP_URL is set and BACKUP_RECIPIENT is not: nothing leaves this machine in clear. Set BACKUP_RECIPIENT to an age public key"
case $keep in '' | *[!0-9]* | 0*) fail "BACKUP_KEEP is $keep: set a whole number from 1" ;; esac

name=backups/$(date -u +%Y-%m-%dT%H%M%SZ)
[ ! "$(in_volume "${project}_redis" 999:1000 '[ ! -e .restore ] || echo unfinished' </dev/null)" ] ||
	fail "a restore is unfinished: make restore puts back what was there. Then run this again"
partial=$work/copy
mkdir "$partial"

# Redis first, the files last: a file is written before the receipt that names it,
# so every receipt in the copy finds its file.
for store in $stores; do
	copied "$store" >"$partial/$store.rdb" || fail "the copy of $store failed: is it running? docker compose --file $composition ps"
done
# What a restore left there, .replaced-…, is not the system's.
# shellcheck disable=SC2016 # the names are the container's to read
in_volume "${project}_blobs" 65532:65532 'set -- *; [ -e "$1" ] || set -- --no-recursion .; tar -cf - "$@"' </dev/null >"$partial/blobs.tar"
(cd "$partial" && sha256sum -- *.rdb blobs.tar >SHA256SUMS)

if [ "$recipient" ]; then
	name=$name.tar.age
	tool seal "$partial" "$work/${name##*/}"
	mv "$work/${name##*/}" "$name"
else
	mv "$partial" "$name"
	echo "backup: $name is in clear, on the disk of what it is to replace: set BACKUP_RECIPIENT and BACKUP_URL" >&2
fi
if [ "$url" ]; then
	tool put "$name" >&2 || fail "$name is complete, but it is not in $url. Run make backup again"
	tool prune
fi
# Only names of its own, and never the newest.
ls -d backups/[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z* | grep -E 'Z(\.tar\.age)?$' | sort | head -n "-$keep" |
	while read -r old; do rm -rf "$old"; done
echo "$name"
