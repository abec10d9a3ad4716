#!/bin/sh
# Installs what the tests need and this machine lacks: redis-server, libfaketime
# to step its clock, Chromium, a Hebrew font, and a C compiler for the race
# detector. With apt or brew, as root or by a sudo that asks for no password;
# else it prints the one line to run and fails, so that no test is ever skipped.
# Run twice it does nothing.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

# macOS has Hebrew fonts of its own.
have_hebrew() {
	[ "$(uname)" = Darwin ] || { have fc-list && [ -n "$(fc-list :lang=he)" ]; }
}

# Where pkg/redistest looks for it.
have_faketime() {
	for lib in /usr/lib/*/faketime/libfaketime.so.1 /opt/homebrew/lib/faketime/libfaketime.1.dylib /usr/local/lib/faketime/libfaketime.1.dylib; do
		[ ! -e "$lib" ] || return 0
	done
	return 1
}

if have brew; then
	install='brew install' redis=redis chromium='--cask chromium' font='' compiler=gcc
else
	install='apt-get install -y --no-install-recommends'
	redis=redis-server chromium=chromium font='fontconfig culmus' compiler='gcc libc6-dev'
fi

missing=
have redis-server || missing="$missing $redis"
have_faketime || missing="$missing libfaketime"
have_hebrew || missing="$missing $font"
have cc || have gcc || have clang || missing="$missing $compiler"
have chromium || have chromium-browser || have google-chrome || [ -d '/Applications/Google Chrome.app' ] ||
	missing="$missing $chromium" # last: brew takes what follows --cask for casks too
[ -n "$missing" ] || exit 0

if ! have brew && ! have apt-get; then
	echo "The tests need redis-server, libfaketime, Chromium, a Hebrew font and a C compiler: install them (Debian calls them$missing), then run this again." >&2
	exit 1
fi

as_root=
if ! have brew && [ "$(id -u)" -ne 0 ]; then
	if have sudo && sudo -n true 2>/dev/null; then
		as_root='sudo -n'
	else
		echo "The tests need what this machine lacks. Run: sudo sh -c 'apt-get update && $install$missing'" >&2
		exit 1
	fi
fi

echo "installing$missing"
have brew || $as_root apt-get update -q
# shellcheck disable=SC2086 # both are lists of words
$as_root env DEBIAN_FRONTEND=noninteractive $install $missing
