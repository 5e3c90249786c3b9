#!/bin/bash
# bare.sh: runs the two commands of the README on a bare Debian 12: minbase and make, nothing else, no systemd. Long tier; needs root
# and an archive to install from (the one this machine uses). Not part of `make check`, which it runs.
#
#   bare.sh test [run|user|check]...   a fresh machine each: `make run` as root, as an ordinary user, `.ci/run`; all three when none is named
#   bare.sh new                        throws the current machine away and makes a fresh one with this checkout in it, cloned
#   bare.sh clone                      brings the clone in the current machine up to this checkout; what is installed and built stays
#   bare.sh in COMMAND...              runs COMMAND as root in the clone; every process ends with it
#   bare.sh user COMMAND...            the same as an ordinary user with a clone of its own
#   bare.sh clean                      removes everything this script made
#
# What git lists of this checkout is what the machine gets, changes included, in one commit; with SLIPWAY_BARE_COMMIT=HEAD it is what
# was committed. All lies in ${TMPDIR:-/tmp}/slipway-bare.
# SLIPWAY_BARE_CCACHE=DIR keeps a compiler cache there (not bare any more, but quick when a test is repeated).
set -euo pipefail
TOP=$(cd "$(dirname "$0")/../.." && pwd -P)
BASE=${TMPDIR:-/tmp}/slipway-bare
ROOT=$BASE/root
die() { printf 'bare.sh: %s\n' "$*" >&2; exit 1; }

build() {
	[ -f "$BASE/base.tar" ] && return
	command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap >&2
	mkdir -p "$BASE"
	# the archives this machine already installs from
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u |
		awk '$2 ~ /^bookworm(-updates|-security)?$/ {print "deb", $1, $2, "main"}' >"$BASE/sources.list"
	TMPDIR=$BASE mmdebstrap --format=tar --variant=minbase --aptopt='Acquire::Languages "none"' bookworm "$BASE/base.tar.new" "$BASE/sources.list" \
		>"$BASE/build.log" 2>&1 || { tail -20 "$BASE/build.log" >&2; die "mmdebstrap failed"; }
	mv "$BASE/base.tar.new" "$BASE/base.tar"
}

new() {
	build
	rm -rf --one-file-system "$ROOT"
	mkdir -p "$ROOT"
	tar -x --numeric-owner --xattrs -C "$ROOT" -f "$BASE/base.tar"
	cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
	apt-config dump Acquire | grep -i proxy >"$ROOT/etc/apt/apt.conf.d/90proxy" || rm -f "$ROOT/etc/apt/apt.conf.d/90proxy"
	cp /etc/hosts "$ROOT/etc/hosts"
	echo bare >"$ROOT/etc/hostname"
	inside root /root apt-get update -qq
	inside root /root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq make >"$BASE/make.log" 2>&1 || { tail -5 "$BASE/make.log" >&2; die "cannot install make"; }
	if [ -n "${SLIPWAY_BARE_CCACHE:-}" ]; then inside root /root apt-get install -y -qq ccache >/dev/null 2>&1; fi
	inside root /root useradd --create-home --shell /bin/bash dev
	clone
}

snapshot() {
	if [ -n "${SLIPWAY_BARE_COMMIT:-}" ]; then
		git -C "$TOP" archive "$SLIPWAY_BARE_COMMIT"
	else
		git -C "$TOP" ls-files -z | (cd "$TOP" && xargs -0 ls -d 2>/dev/null) | tar -c -C "$TOP" -T -
	fi
}

clone() {
	local home
	for home in root home/dev; do
		mkdir -p "$ROOT/$home/slipway"
		# what a former clone had goes away first
		if [ -d "$ROOT/$home/slipway/.git" ]; then git -c safe.directory='*' -C "$ROOT/$home/slipway" ls-files -z | (cd "$ROOT/$home/slipway" && xargs -0 rm -f); fi
		snapshot | tar -x --no-same-owner -C "$ROOT/$home/slipway"
		(
			cd "$ROOT/$home/slipway"
			export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=bare GIT_AUTHOR_EMAIL=bare@localhost GIT_COMMITTER_NAME=bare GIT_COMMITTER_EMAIL=bare@localhost
			git init -q -b main 2>/dev/null
			git -c safe.directory='*' add -A
			git -c safe.directory='*' commit -q --allow-empty -m "The checkout"
		)
	done
	inside root / chown -R dev:dev /home/dev
}

inside() { # USER FOLDER COMMAND...: runs COMMAND in the machine
	local cache=${SLIPWAY_BARE_CCACHE:-}
	[ -z "$cache" ] || mkdir -p -m 1777 "$cache"
	[ -d "$ROOT/etc" ] || die "no machine yet: bare.sh new"
	ROOT=$ROOT CACHE=$cache unshare --mount --pid --fork --kill-child --uts --ipc --propagation private "$TOP/tests/machine/bare.sh" enter "$@"
}

enter() { # within the namespaces: makes the machine's own mounts, moves in, runs the command
	local user=$1 folder=$2 home n
	shift 2
	mount --bind "$ROOT" "$ROOT"
	cd "$ROOT"
	mount -t proc proc proc
	mount --rbind /sys sys
	mount -t tmpfs -o mode=755 tmpfs run
	mkdir -p run/lock
	mount -t tmpfs -o mode=755 tmpfs dev
	for n in null zero full urandom random tty; do
		: >"dev/$n"
		mount --bind "/dev/$n" "dev/$n"
	done
	mkdir dev/pts dev/shm
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
	mount -t tmpfs -o mode=1777 tmpfs dev/shm
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%:*}" "dev/${n#*:}"; done
	if [ -n "$CACHE" ]; then
		mkdir -p var/cache/ccache
		mount --bind "$CACHE" var/cache/ccache
	fi
	hostname bare
	pivot_root . mnt
	cd /
	umount -l /mnt
	home=/root
	[ "$user" = root ] || home=/home/$user
	cd "$folder"
	exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" USER="$user" LOGNAME="$user" \
		${CACHE:+CCACHE_DIR=/var/cache/ccache CCACHE_UMASK=000} setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"
}

in_root() { inside root /root/slipway "$@"; }
in_user() { inside dev /home/dev/slipway "$@"; }

test_run() { new; in_root tests/machine/bare-run; }

test_user() {
	local said
	new
	# without root and packages: one line for root to run, as it stands
	said=$(in_user make run 2>&1 </dev/null) && die "make run worked without packages"
	said=$(sed -n 's/^Packages are missing. Ask root to run:  //p' <<<"$said")
	[ "$(wc -l <<<"$said")" = 1 ] && [ -n "$said" ] || die "not one line for root: $said"
	inside root /root sh -c "$said" >"$BASE/user.log" 2>&1 || { tail -5 "$BASE/user.log" >&2; die "root's line failed"; }
	in_user tests/machine/bare-run
}

test_check() {
	local log=$BASE/check.log code=0 started=$SECONDS
	new
	in_root env CI=true .ci/run </dev/null >"$log" 2>&1 || code=$?
	tail -30 "$log"
	echo "make check took $((SECONDS - started)) s, its status is $code, its output $log"
	tail -1 "$log" | grep -qE '^[0-9]+ passed, 0 failed, [0-9]+ skipped$' && [ $code = 0 ] || die "make check failed"
}

[ "$(id -u)" = 0 ] || die "needs root"
command=${1:-}
[ $# = 0 ] || shift
case $command in
new | clone) "$command" ;;
enter) enter "$@" ;;
in) in_root "$@" ;;
user) in_user "$@" ;;
clean) rm -rf --one-file-system "$BASE" ;;
test)
	[ $# -gt 0 ] || set -- run user check
	for t in "$@"; do
		"test_$t"
		echo "bare: $t passed"
	done
	;;
*)
	sed -n '2,14p' "$0"
	exit 2
	;;
esac
