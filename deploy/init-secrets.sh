#!/bin/sh
# Makes each secret once, as a file in deploy/secrets or in the folder given as its
# argument. It leaves existing files as they are. The containers' users read these
# files, so each is readable by all; the folder keeps other users of this machine out.
#
# GOOGLE_CLIENT_SECRET, where it is set, becomes the OAuth client's secret; else
# one is made up, which only the simulator takes and production refuses.
# QUEUE_PREFIX, where the services have one, is what the users of Redis may reach.
set -eu
umask 077
secrets=${1:-$(dirname "$0")/secrets}
mkdir -p "$secrets"
chmod 0700 "$secrets"

# random prints 256 bits in letters, digits, - and _.
random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

# keep writes what it reads into a secret that is not there yet, whole or not at all.
keep() {
	[ -e "$secrets/$1" ] && return
	cat >"$secrets/.$1"
	chmod 0444 "$secrets/.$1"
	mv "$secrets/.$1" "$secrets/$1"
	echo "made $secrets/$1"
}

random | keep jwt_secret
random | keep diagnostic_keys
printf '{"keys":[{"kty":"oct","kid":"%s","alg":"A256GCMKW","k":"%s"}]}' "$(date -u +%Y-%m-%d)" "$(random)" | keep token_keys
printf '%s' "${GOOGLE_CLIENT_SECRET:-example-$(random)}" | keep google_client_secret
google=$(cat "$secrets/google_client_secret")
[ "${GOOGLE_CLIENT_SECRET:-$google}" = "$google" ] || {
	echo "$0: $secrets/google_client_secret holds another one than GOOGLE_CLIENT_SECRET: remove it, then run this again" >&2
	exit 1
}

# The users of Redis and their passwords belong together: the list of users is
# written last, and until it is there all of them are made anew.
[ -e "$secrets/redis_acl" ] && exit
for user in api worker verify; do
	rm -f "$secrets/redis_url_$user"
	printf 'redis://%s:%s@redis:6379/0' "$user" "$(random)" | keep "redis_url_$user"
done
rm -f "$secrets/redis_backup"
random | keep redis_backup

# hashed prints a password's hash: the list of users holds no password.
hashed() { printf '%s' "$1" | sha256sum | cut -d ' ' -f 1; }
password_of() { sed 's|.*://[^:]*:||; s|@.*||' "$secrets/redis_url_$1"; }

# Each may do what it does and no more: reach the keys of the system (its scripts
# name the prefix itself as a key), look what Redis is, and, verify, only read.
prefix=${QUEUE_PREFIX:-'{receipts}'}
plane="~$prefix ~$prefix:*"
businesses="~$(printf '%s' "$prefix" | tr -d '{}'):*"
# Nobody can sign in as default, which is off; but as default Redis 7.0 reads its
# own append-only file, and what that user may not do is lost at a restart.
all='+@connection -@scripting -@dangerous -@admin +eval +evalsha +time +info +config|get'
keep redis_acl <<ACL
user default off ~* &* +@all
user health on nopass -@all +ping
user api on #$(hashed "$(password_of api)") $plane $businesses -@all +@read +@write -@blocking $all
user worker on #$(hashed "$(password_of worker)") $plane $businesses -@all +@read +@write $all
user verify on #$(hashed "$(password_of verify)") $plane -@all +@read $all
user backup on #$(hashed "$(cat "$secrets/redis_backup")") -@all +ping +sync +psync +replconf
ACL
