#!/bin/sh
# Makes an image of Caddy, for where no registry is reached, and prints its name:
# CADDY_IMAGE=$(tools/caddy-image.sh). It stands in for the image of that version
# that deploy/edge/compose.yaml names: the same paths and the same command.
#
# It is built from the module that tools/caddy pins, not taken from Debian: Debian
# 12 has 2.6.2, and every Caddy up to 2.11.1 answers 502 to a POST with a body
# whose first dial was refused (caddyserver/caddy#7546).
set -eu
cd "$(dirname "$0")/caddy"
for program in go docker; do
	command -v "$program" >/dev/null || {
		echo "$program is missing: install Go, and run tools/install-docker.sh" >&2
		exit 1
	}
done
module=github.com/caddyserver/caddy/v2
version=$(GOWORK=off go list -m -f '{{.Version}}' $module)
image=local/caddy:${version#v}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/usr/bin" "$root/data" "$root/config" "$root/etc/caddy" "$root/etc/ssl/certs" "$root/tmp"
GOWORK=off CGO_ENABLED=0 go build -trimpath \
	-ldflags "-s -w -X $module.CustomVersion=$version" -o "$root/usr/bin/caddy" $module/cmd/caddy >&2
# For Let's Encrypt's own certificates.
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"

tar -C "$root" --owner 0 --group 0 -c . |
	docker import -c 'ENV PATH=/usr/bin XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data' \
		-c 'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]' - "$image" >/dev/null
echo "$image"
