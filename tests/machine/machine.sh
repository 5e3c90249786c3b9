#!/bin/bash
# machine.sh: a throw-away Debian 12 with systemd as its process 1, for what only a real server shows: the package, its units, `slipway
# setup`, a reboot. Needs root, mmdebstrap and systemd-nspawn; no container engine, no systemd outside.
#
#   machine.sh base [KIND]              makes the base once (a minute or two; needs an archive to install from, the one this machine uses)
#   machine.sh have [KIND]              0 when the base is there
#   machine.sh up NAME [KIND]           a fresh machine, or the one of that name again after `off`; KIND is bare: without what
#                                       Slipway depends on; services: with PostgreSQL, RabbitMQ and an authority; host: with what
#                                       a host is hardened with; or base
#   machine.sh in NAME COMMAND...       runs COMMAND as root in it; standard input goes there, the exit status comes back
#   machine.sh init NAME                the number of its process 1, as this side counts
#   machine.sh near NAME COMMAND...     runs COMMAND of this machine in that one's network
#   machine.sh apt NAME ARGUMENT...     apt-get in it, with this machine's network
#   machine.sh reboot NAME              orderly, and waits until it is up again
#   machine.sh off NAME | cut NAME      ends it, orderly or by a kill; its disk stays
#   machine.sh down NAME                ends it and deletes its disk
#   machine.sh clean                    removes everything this script made
#
# A machine is the base with a writable layer above it, in namespaces of its own: processes, mounts, names, network (loopback only, and
# Slipway asks for nothing else). Where this machine has control groups v1 its limits hold by those; by v2 alone they may not.
# Where the test put a file system at m/NAME/disk, the writable layer is on that: power.py cuts its power.
# All lies in ${SLIPWAY_MACHINES:-${TMPDIR:-/tmp}/slipway-machine}.
set -euo pipefail
BASE=${SLIPWAY_MACHINES:-${TMPDIR:-/tmp}/slipway-machine}
SELF=$(readlink -f "$0")
BOOT_TENTHS=600
die() { printf 'machine.sh: %s\n' "$*" >&2; exit 1; }

# What a server has before anybody installs Slipway on it, and what the package depends on, so that the short tests need no archive.
BARE="systemd,systemd-sysv,dbus,libpam-systemd,ca-certificates,iproute2,procps,curl,sudo,cron,less,openssl"
FULL="$BARE,git,openssh-client,nginx-light,nftables,apache2-bin,media-types,python3,python3-venv,python3-pip,python3-django,gunicorn"
FULL="$FULL,nodejs,libapache2-mod-wsgi-py3"
FULL="$FULL,libuv1,libhttp-parser2.9,libsqlite3-0,libyaml-0-2,libjansson4,libsodium23,libssl3,libseccomp2,libarchive13,libcurl4,libpq5,libsystemd0"

# What projects get databases, brokers and certificates from, for provided_test.py; not in every machine, since they start with it.
SERVICES="$FULL,postgresql,rabbitmq-server,certbot,pebble,python3-psycopg2,python3-amqp"

# What `slipway audit --advice` looks at, for advice_test.py.
HOST="$FULL,openssh-server,ufw,fail2ban,python3-systemd,unattended-upgrades"

packages_of() { case $1 in base) echo "$FULL" ;; bare) echo "$BARE" ;; services) echo "$SERVICES" ;; host) echo "$HOST" ;; *) die "there is no base '$1'" ;; esac; }
have() { [ -e "$BASE/$1/.whole" ] && [ "$(cat "$BASE/$1/.whole")" = "$(packages_of "$1")" ]; }

base() {
	local kind=$1
	mkdir -p "$BASE/m"
	exec 8>"$BASE/lock"
	flock 8
	! have "$kind" || return 0
	command -v mmdebstrap >/dev/null && command -v systemd-nspawn >/dev/null || die "mmdebstrap and systemd-nspawn are needed: apt install mmdebstrap systemd-container"
	rm -rf --one-file-system "${BASE:?}/$kind" "$BASE/base.tar"
	# the archives this machine already installs from
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u |
		awk '$2 ~ /^bookworm(-updates|-security)?$/ {print "deb", $1, $2, "main"}' >"$BASE/sources.list"
	TMPDIR=$BASE mmdebstrap --format=tar --variant=minbase --include="$(packages_of "$kind")" --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' \
		bookworm "$BASE/base.tar" "$BASE/sources.list" >"$BASE/build.log" 2>&1 || { tail -20 "$BASE/build.log" >&2; die "mmdebstrap failed"; }
	mkdir "$BASE/$kind"
	tar -x --numeric-owner --xattrs -C "$BASE/$kind" -f "$BASE/base.tar"
	rm -f "$BASE/base.tar"
	furnish "$BASE/$kind"
	packages_of "$kind" >"$BASE/$kind/.whole"
}

furnish() {
	local root=$1 unit
	rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root/etc/machine-id"
	: >"$root/etc/machine-id"
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_reap.service e2scrub_all.timer getty@tty1.service systemd-hwdb-update.service; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	# before systemd: control groups v1 are handed over read-only, and it needs to write them
	cat >"$root/usr/local/sbin/before-init" <<'INIT'
#!/bin/sh
for d in /sys/fs/cgroup/*/; do [ -e "$d/cgroup.procs" ] && mount -o remount,bind,rw "$d" 2>/dev/null; done
exec /lib/systemd/systemd
INIT
	chmod 755 "$root/usr/local/sbin/before-init"
}

# The directory of machine NAME in each hierarchy of control groups that this process sees.
groups_of() {
	local number controllers path dir
	while IFS=: read -r number controllers path; do
		if [ -z "$controllers" ]; then
			dir=/sys/fs/cgroup/unified
			[ -d "$dir" ] || dir=/sys/fs/cgroup
		else
			dir=/sys/fs/cgroup/${controllers#name=}
		fi
		[ "$controllers" = cpuset ] || [ ! -d "$dir" ] || echo "$dir${path%/}/slipway-machine-$1"
	done </proc/self/cgroup
}

# The number of the supervising process, when it is that very process.
supervisor() {
	local pid started
	{ read -r pid started <"$BASE/m/$1/pid"; } 2>/dev/null || return 1
	[ "$(awk '{print $22}' "/proc/$pid/stat" 2>/dev/null)" = "$started" ] && echo "$pid"
}

children() { cat "/proc/$1/task/$1/children" 2>/dev/null; }

# Process 1 of the machine, as this side numbers it: the child of nspawn, which is the child of the supervisor.
init_of() {
	local pid
	pid=$(supervisor "$1") || die "machine '$1' does not run"
	pid=$(children "$pid" | awk '{print $1}')
	[ -z "$pid" ] || children "$pid" | awk '{print $1}'
}

layer_of() { if [ -d "$BASE/m/$1/disk" ]; then echo "$BASE/m/$1/disk"; else echo "$BASE/m/$1"; fi; }

up() {
	local name=$1 kind=$2 dir=$BASE/m/$1 layer pid
	[[ $name =~ ^[a-z][a-z0-9]{0,10}$ ]] || die "'$name' is no name for a machine"
	have "$kind" || base "$kind"
	sweep
	! supervisor "$name" >/dev/null || return 0
	layer=$(layer_of "$name")
	mkdir -p "$layer/upper/etc" "$layer/work" "$dir/root"
	[ -e "$dir/kind" ] || echo "$kind" >"$dir/kind"
	[ -e "$layer/upper/etc/hostname" ] || echo "$name" >"$layer/upper/etc/hostname"
	[ -e "$layer/upper/etc/hosts" ] || printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost\n' "$name" >"$layer/upper/etc/hosts"
	[ -e "$layer/upper/etc/resolv.conf" ] || : >"$layer/upper/etc/resolv.conf"
	setsid unshare --mount --propagation private "$SELF" supervise "$name" </dev/null >"$dir/console.log" 2>&1 8>&- 9>&- &
	pid=$!
	sleep 0.1
	echo "$pid $(awk '{print $22}' "/proc/$pid/stat")" >"$dir/pid"
	wait_up "$name"
}

wait_up() {
	local state= i
	for i in $(seq $BOOT_TENTHS); do
		supervisor "$1" >/dev/null || { tail -20 "$BASE/m/$1/console.log" >&2; die "machine '$1' ended while it booted"; }
		# not before it is systemd: who enters a machine that is still being made disturbs that
		state=$(init=$(init_of "$1") && [ "$(cat "/proc/$init/comm")" = systemd ] && inside "$1" systemctl is-system-running) 2>/dev/null || :
		case $state in running | degraded) return 0 ;; esac
		sleep 0.1
	done
	tail -20 "$BASE/m/$1/console.log" >&2
	die "machine '$1' is not up (it says '$state')"
}

supervise() { # in a mount namespace of its own
	local name=$1 dir=$BASE/m/$1 layer group code=133
	layer=$(layer_of "$name")
	groups_of "$name-$$" >"$dir/groups" # those of the last boot may still be going
	while read -r group; do
		mkdir -p "$group"
		echo $$ >"$group/cgroup.procs"
	done <"$dir/groups"
	mount -t overlay overlay -o "lowerdir=$BASE/$(cat "$dir/kind"),upperdir=$layer/upper,workdir=$layer/work,xino=on" "$dir/root"
	while [ $code = 133 ]; do # that is what a reboot says
		code=0
		env -i PATH="$PATH" SYSTEMD_NSPAWN_TMPFS_TMP=0 systemd-nspawn --quiet --directory="$dir/root" --machine="slipway-$name" --hostname="$name" \
			--register=no --keep-unit --kill-signal=SIGRTMIN+3 --console=read-only --link-journal=no --timezone=off --resolv-conf=off --private-network \
			--capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON --system-call-filter='bpf @keyring landlock_create_ruleset landlock_add_rule landlock_restrict_self' /usr/local/sbin/before-init || code=$?
		echo "nspawn ended with $code"
	done
}

# Rights that a command in a machine does not get, or it would set this machine's clock.
KEPT_BACK=-sys_time,-sys_module,-sys_rawio,-sys_boot,-mac_override,-mac_admin,-syslog,-wake_alarm,-block_suspend

inside() {
	local name=$1 init group
	shift
	init=$(init_of "$name")
	[ -n "$init" ] || return 1
	while read -r group; do # its own groups, so that its limits hold
		case $group in
		*/unified/* | /sys/fs/cgroup/slipway-machine-*) group=$group/payload/command ;;
		esac
		{ mkdir -p "$group" && echo $BASHPID >"$group/cgroup.procs"; } 2>/dev/null || :
	done <"$BASE/m/$name/groups"
	${OWN_NETWORK-nsenter --target "$init" --net} nsenter --target "$init" --mount --uts --ipc --pid --cgroup --root --wd -- setpriv --bounding-set="$KEPT_BACK" \
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 "$@"
}

near() {
	local init
	init=$(init_of "$1")
	[ -n "$init" ] || return 1
	shift
	exec nsenter --target "$init" --net -- "$@"
}

apt() { # the network of this side, and its resolver, for the one command
	local name=$1 hosts resolver
	shift
	resolver=$(cat /etc/resolv.conf)
	hosts=$(grep -v '^127\|^::1' /etc/hosts || :)
	OWN_NETWORK="" inside "$name" DEBIAN_FRONTEND=noninteractive RESOLVER="$resolver" HOSTS="$hosts" unshare --mount sh -c '
		printf "%s\n" "$RESOLVER" >/run/resolver
		{ cat /etc/hosts; printf "%s\n" "$HOSTS"; } >/run/hosts
		mount --bind /run/resolver /etc/resolv.conf
		mount --bind /run/hosts /etc/hosts
		exec apt-get -q "$@"' apt "$@"
}

reboot() {
	local before i
	before=$(init_of "$1")
	inside "$1" systemctl --no-block reboot
	for i in $(seq 600); do
		[ -e "/proc/$before" ] || { wait_up "$1"; return; }
		sleep 0.1
	done
	die "machine '$1' does not go down"
}

end() {
	local name=$1 how=$2 pid init i
	pid=$(supervisor "$name") || { forget "$name"; return 0; }
	init=$(init_of "$name")
	if [ "$how" = orderly ] && [ -n "$init" ]; then
		kill -s RTMIN+4 "$init"
		for i in $(seq 300); do supervisor "$name" >/dev/null || break; sleep 0.1; done
	fi
	if supervisor "$name" >/dev/null; then
		kill -KILL $(children "$pid") "$pid" $init 2>/dev/null || :
		for i in $(seq 100); do supervisor "$name" >/dev/null || break; sleep 0.1; done
	fi
	forget "$name"
}

# What a test that was killed left behind: machines with a name of the tests' own (server.py) that do not run, after an hour.
sweep() {
	local dir
	while read -r dir; do
		supervisor "$(basename "$dir")" >/dev/null || down "$(basename "$dir")"
	done < <(find "$BASE/m" -mindepth 1 -maxdepth 1 -type d -name 't????????' -mmin +60)
}

forget() {
	local group
	while read -r group; do
		for i in $(seq 100); do # the last of its processes may still be going
			find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || :
			[ -d "$group" ] || break
			sleep 0.1
		done
	done < <(cat "$BASE/m/$1/groups" 2>/dev/null)
	rm -f "$BASE/m/$1/pid"
}

down() {
	end "$1" now
	rm -rf --one-file-system "${BASE:?}/m/${1:?}"
}

[ "$(id -u)" = 0 ] || die "needs root"
command=${1:-}
[ $# = 0 ] || shift
case $command in
base | have) "$command" "${1:-base}" ;;
up) up "${1:?NAME}" "${2:-base}" ;;
init) init_of "${1:?NAME}" ;;
reboot | down) "$command" "${1:?NAME}" ;;
supervise) supervise "$1" ;;
in) inside "$@" ;;
near) near "$@" ;;
apt) apt "$@" ;;
off) end "${1:?NAME}" orderly ;;
cut) end "${1:?NAME}" now ;;
clean)
	for m in "$BASE"/m/*/; do [ ! -d "$m" ] || down "$(basename "$m")"; done
	rm -rf --one-file-system "$BASE"
	;;
*)
	sed -n '2,24p' "$0"
	exit 2
	;;
esac
