#!/bin/sh
# Makes an image of this machine's redis-server, for where no registry is
# reached, and prints its name: REDIS_IMAGE=$(tools/redis-image.sh). It stands in
# for redis:7.4-alpine: the same users, the same paths, a shell with tar.
set -eu
for program in redis-server redis-cli busybox docker; do
	command -v "$program" >/dev/null || {
		echo "$program is missing: apt-get install redis-server busybox-static docker.io" >&2
		exit 1
	}
done
version=$(redis-server --version | sed 's/.* v=\([0-9.]*\) .*/\1/')
image=local/redis:$version

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/usr/bin" "$root/data" "$root/etc" "$root/tmp"
cp "$(command -v redis-server)" "$(command -v redis-cli)" "$root/usr/bin/"
cp "$(command -v busybox)" "$root/bin/"
for applet in sh cat cp du find ls mkdir mv rm rmdir tar; do ln -s busybox "$root/bin/$applet"; done
# What they are linked against, at the paths where the loader looks. (A busybox
# that is static has nothing.)
{ ldd "$root/usr/bin/redis-server" "$root/usr/bin/redis-cli" && { ldd "$root/bin/busybox" || true; } 2>/dev/null; } | grep -o '/[^ )]*' | sort -u |
	while read -r library; do [ ! -f "$library" ] || { mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library"; }; done
echo 'redis:x:999:1000::/data:/bin/sh' >"$root/etc/passwd"

tar -C "$root" --owner 0 --group 0 --exclude ./data -cf "$root/image.tar" --exclude ./image.tar .
tar -C "$root" --owner 999 --group 1000 -rf "$root/image.tar" ./data # a volume takes over whose it is
docker import -c 'USER 999:1000' -c 'WORKDIR /data' -c 'CMD ["redis-server"]' "$root/image.tar" "$image" >/dev/null
echo "$image"
