#!/bin/sh
# Loads the newest copy (from BACKUP_URL, if set) into a volume of its own, counts
# its keys and receipts, and removes the volume. It reads the running system only
# if the copy has no receipts, to learn whether that can be right.
set -eu
cd "$(dirname "$0")/.."
umask 077

. deploy/lock.sh
. deploy/copy.sh
volume=$project-restore-check
end() {
	code=$?
	trap - EXIT
	trap '' HUP INT TERM
	tidy || true
	docker volume rm --force "$volume" >/dev/null 2>&1 || true
	exit "$code"
}
trap end EXIT
trap 'exit 1' HUP INT TERM

# fresh recreates the volume. Its owner is the user of Redis, like /data's in the image.
fresh() {
	docker volume rm --force "$volume" >/dev/null
	docker run --rm --network none --mount "type=volume,source=$volume,target=/data" --entrypoint sh "$redis_image" -c :
}

if [ "$(setting BACKUP_URL)" ]; then
	from=$(tool last) || fail "no copy to check"
else
	from=$(ls -d backups/[0-9]* 2>/dev/null | grep -E 'Z(\.tar\.age)?$' | sort | tail -n 1)
	[ "$from" ] || fail "backups holds no copy: run make backup"
fi
name=${from##*/}
made=$(echo "${name%.tar.age}" | sed 's/T\(..\)\(..\)\(..\)Z$/ \1:\2:\3 UTC/')
hours=$((($(date +%s) - $(date -d "$made" +%s)) / 3600))
limit=$(setting BACKUP_MAX_AGE)
limit=${limit:-26}

unpack "$from"
all=0
counts=''
for store in $stores; do
	fresh
	load "$store" "$volume"
	all=$((all + receipts))
	counts="$counts, $store $keys keys"
done
files=$(tar -tf "$copy/blobs.tar" | grep -vc '/$' || true)

if [ "$all" -eq 0 ]; then
	copy=$work/running
	mkdir "$copy"
	for store in $stores; do copied "$store" >"$copy/$store.rdb"; done
	for store in $stores; do
		fresh
		load "$store" "$volume"
		[ "$receipts" -eq 0 ] || fail "$from has no receipts, and the system that runs has $receipts: look what make backup copies"
	done
fi
[ "$hours" -le "$limit" ] || fail "$from loads, but is $hours hours old, and $limit is the limit (BACKUP_MAX_AGE): does the timer of make backup run?"
echo "$from loads: $all receipts${counts}, $files files; it is $hours hours old"
