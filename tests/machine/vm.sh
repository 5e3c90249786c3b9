#!/bin/bash
# vm.sh: a Debian 12 with Debian's own kernel under software emulation, for what only a kernel of one's own shows: control groups v2
# with all their controllers, disk quotas, that kernel's Landlock. Long tier; needs root, an archive to install from (the one this
# machine uses), qemu and no KVM; a processor in it is about ten times slower than outside.
#
#   vm.sh test           boots a machine, copies this checkout's build-check-release and tests into it, runs kernel_test.py and
#                        kernel_server_test.py, deletes it
#   vm.sh up | down      boots the machine and leaves it running; ends and deletes it
#   vm.sh in COMMAND...  runs COMMAND as root in it
#   vm.sh put            copies the checkout's programs and tests into it, as /root/slipway
#   vm.sh clean          removes everything this script made
#
# All lies in ${TMPDIR:-/tmp}/slipway-vm: base.raw is made once (some minutes), each boot writes into a throw-away layer above it.
# The programs are built outside: both sides are a Debian 12, and `put` refuses a machine that is not.
set -euo pipefail
TOP=$(cd "$(dirname "$0")/../.." && pwd -P)
BASE=${TMPDIR:-/tmp}/slipway-vm
BOOT_S=300
die() { printf 'vm.sh: %s\n' "$*" >&2; exit 1; }

# What runs Slipway, without what builds it.
PACKAGES="systemd,systemd-sysv,udev,dbus,kmod,initramfs-tools,linux-image-cloud-amd64,openssh-server,iproute2,procps,util-linux,passwd,quota"
PACKAGES="$PACKAGES,ca-certificates,git,curl,openssl,nginx-light,python3,python3-venv,python3-pip,python3-pytest,gunicorn,python3-django"
PACKAGES="$PACKAGES,libuv1,libhttp-parser2.9,libsqlite3-0,libyaml-0-2,libjansson4,libsodium23,libssl3,libseccomp2,libarchive13,libcurl4,libasan8,libubsan1"

tools() {
	local missing=
	command -v mmdebstrap >/dev/null || missing="$missing mmdebstrap"
	command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
	command -v qemu-img >/dev/null || missing="$missing qemu-utils"
	command -v ssh >/dev/null || missing="$missing openssh-client"
	[ -z "$missing" ] || apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 $missing >"$BASE/tools.log" 2>&1 ||
		{ tail -5 "$BASE/tools.log" >&2; die "cannot install$missing"; }
}

# Written into the machine's root before it is an image.
furnish() {
	local root=$1
	mkdir -p "$root/root/.ssh" "$root/etc/systemd/network" "$root/etc/modules-load.d"
	cp "$BASE/id.pub" "$root/root/.ssh/authorized_keys"
	chmod 700 "$root/root/.ssh"
	echo kernel >"$root/etc/hostname"
	echo '127.0.0.1 localhost kernel' >"$root/etc/hosts"
	echo '/dev/vda / ext4 defaults,usrquota 0 1' >"$root/etc/fstab"
	echo quota_v2 >"$root/etc/modules-load.d/quota.conf"
	printf '[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\n' >"$root/etc/systemd/network/10-one.network"
	chroot "$root" systemctl -q enable systemd-networkd ssh
	chroot "$root" systemctl -q mask nginx.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service
	echo quota_v2 >>"$root/etc/initramfs-tools/modules"
	chroot "$root" update-initramfs -u >/dev/null
	cp -L "$root/vmlinuz" "$BASE/vmlinuz"
	cp -L "$root/initrd.img" "$BASE/initrd.img"
}

build() {
	[ -f "$BASE/base.raw" ] && return
	local root=$BASE/root
	tools
	[ -f "$BASE/id" ] || ssh-keygen -q -t ed25519 -N '' -f "$BASE/id"
	# the archives this machine already installs from
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u |
		awk '$2 ~ /^bookworm(-updates|-security)?$/ {print "deb", $1, $2, "main"}' >"$BASE/sources.list"
	rm -rf --one-file-system "$root"
	mkdir "$root"
	TMPDIR=$BASE mmdebstrap --format=tar --variant=minbase --include="$PACKAGES" --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' \
		bookworm "$BASE/base.tar" "$BASE/sources.list" >"$BASE/build.log" 2>&1 || { tail -20 "$BASE/build.log" >&2; die "mmdebstrap failed"; }
	tar -x --numeric-owner --xattrs -C "$root" -f "$BASE/base.tar"
	furnish "$root"
	truncate -s 5G "$BASE/base.new"
	# quotas of users are the file system's own: no tool has to count before they hold
	mke2fs -q -t ext4 -O quota -E quotatype=usrquota -d "$root" "$BASE/base.new"
	rm -rf --one-file-system "$root" "$BASE/base.tar"
	mv "$BASE/base.new" "$BASE/base.raw"
}

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

inside() {
	ssh -q -i "$BASE/id" -p "$(cat "$BASE/port")" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10 -o ServerAliveInterval=15 root@127.0.0.1 "$@"
}

alive() { [ -f "$BASE/pid" ] && [ "$(readlink "/proc/$(cat "$BASE/pid")/exe" 2>/dev/null)" = "$(readlink -f "$(command -v qemu-system-x86_64)")" ]; }

up() {
	build
	alive && return
	rm -f "$BASE/layer.qcow2"
	qemu-img create -q -f qcow2 -F raw -b "$BASE/base.raw" "$BASE/layer.qcow2"
	port >"$BASE/port"
	qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nodefaults -display none -serial "file:$BASE/serial.log" \
		-kernel "$BASE/vmlinuz" -initrd "$BASE/initrd.img" -append 'root=/dev/vda rw console=ttyS0 mitigations=off quiet' \
		-drive "file=$BASE/layer.qcow2,if=virtio,format=qcow2,cache=unsafe" -device virtio-rng-pci \
		-netdev "user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:$(cat "$BASE/port")-:22" -device virtio-net-pci,netdev=n,romfile= \
		</dev/null >"$BASE/qemu.log" 2>&1 &
	echo $! >"$BASE/pid"
	local until=$((SECONDS + BOOT_S))
	until timeout 15 "$0" in true 2>/dev/null; do
		alive || { cat "$BASE/qemu.log" >&2; die "the machine ended"; }
		[ $SECONDS -lt $until ] || { tail -20 "$BASE/serial.log" >&2; die "no answer within $BOOT_S s"; }
		sleep 2
	done
}

down() {
	if alive; then kill "$(cat "$BASE/pid")"; fi
	rm -f "$BASE/layer.qcow2" "$BASE/pid" "$BASE/port"
}

put() {
	local build=${SLIPWAY_BUILD:-$TOP/build-check-release}
	[ "$(. /etc/os-release && echo "$ID $VERSION_ID")" = "$(inside '. /etc/os-release && echo $ID $VERSION_ID')" ] || die "this machine is no Debian 12: what it builds would not run there"
	[ -x "$build/src/slipwayd" ] || die "there is no build in '$build': tools/build build-check-release"
	# the tree keeps its shape: the programs are looked for in BUILD/src
	(cd "$build" && tar -c --transform 's,^,build/,' src/slipway src/slipwayd src/slipway-helper src/slipway-monitor src/slipway-exec src/slipway-tree src/slipway-cert src/slipway-outbound) >"$BASE/programs.tar"
	inside 'mkdir -p slipway && tar -x -C slipway && chmod 755 /root /root/slipway' <"$BASE/programs.tar"
	# and as `make install` lays it out
	rm -rf --one-file-system "$BASE/install"
	meson install -C "$build" --no-rebuild --quiet --destdir "$BASE/install"
	tar -c --owner=0 --group=0 -C "$BASE/install" . | inside 'cat >slipway/root.tar'
	rm -rf --one-file-system "$BASE/install"
	tar -c -C "$TOP" --exclude='*.pyc' tests/e2e tests/machine tools share/units src/setup/quota.c | inside 'tar -x -C slipway'
}

test_kernel() {
	local code=0
	up
	put
	inside 'cd slipway && SLIPWAY_BUILD=$PWD/build SLIPWAY_SANITIZED=$PWD/build python3 -m pytest -q -s --tb=short -p no:cacheprovider tests/machine/kernel_test.py tests/machine/kernel_server_test.py' || code=$?
	down
	return $code
}

[ "$(id -u)" = 0 ] || die "needs root"
mkdir -p "$BASE"
command=${1:-}
[ $# = 0 ] || shift
case $command in
build | up | down | put) "$command" ;;
in) inside "$@" ;;
test) test_kernel ;;
clean)
	down
	rm -rf --one-file-system "$BASE"
	;;
*)
	sed -n '2,14p' "$0"
	exit 2
	;;
esac
