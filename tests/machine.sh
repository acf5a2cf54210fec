# A Debian 12 in a folder, for scripts that try Bulkhead on a new machine; bash, to be sourced. What runs in it runs in
# namespaces of its own for processes, mounts and the host name, so that neither a mount nor a process of it outlives a
# stage, whatever becomes of the script. The network is shared: apt needs it.
#
# The script sets `name`, `base_packages` and, from its options, cache, keep, mirror and verbose; begin_machine makes
# $work with root, the machine, and log. It is removed when the script ends.

suite=bookworm

# ---- saying ----

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }
failed=''
fail() { failed=yes; say "FAILED: $*" >&2; exit 1; }
stop() { say "stopped" >&2; exit "$1"; }

# The options that all of these scripts have; `usage` is the script's own.
take_options() {
	while (($#)); do
		case $1 in
		--cache | --mirror)
			(($# > 1)) || { usage >&2; exit 2; }
			printf -v "${1#--}" %s "$2"
			shift
			;;
		--keep) keep=yes ;;
		--verbose) verbose=yes ;;
		-h | --help) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
		esac
		shift
	done
}

# ---- this machine ----

# One line "URI suite" for each of Debian's own sources.
debian_sources() {
	if [[ $mirror ]]; then
		echo "$mirror $suite"
		return
	fi
	# shellcheck disable=SC2016 # apt fills these in
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
		awk -v suite="$suite" '
			$3 == "main" && ($4 == "Debian" || $4 !~ /^[A-Za-z]/) &&
			($2 == suite || $2 == suite "-updates" || $2 == suite "-security") && !seen[$1, $2]++ { print $1, $2 }'
}

# How this machine's apt reaches a mirror: proxies, checks of dates, retries.
apt_settings() {
	apt-config dump Acquire | grep -vE '^Acquire(::(IndexTargets|Changelogs|CompressionTypes|cdrom).*)? ' || true
	[[ -z ${http_proxy:-} ]] || echo "Acquire::http::Proxy \"$http_proxy\";"
	[[ -z ${https_proxy:-} ]] || echo "Acquire::https::Proxy \"$https_proxy\";"
}

check_this_machine() {
	((EUID == 0)) || fail "making a machine needs root; run it with sudo"
	command -v debootstrap >/dev/null || fail "debootstrap is missing; make $name installs it"
	sources=$(debian_sources)
	base_mirror=$(awk -v suite="$suite" '$2 == suite { print $1; exit }' <<<"$sources")
	[[ $base_mirror ]] || fail "apt has no source for $suite on this machine; name a mirror with --mirror"
}

# ---- the machine: work/root, and what it printed in work/log ----

work=''
running='' # unshare's process id while a stage runs

# The first process of the namespace takes all others with it, and unshare ends when they are gone.
stop_stage() {
	local first=''
	[[ $running ]] || return 0
	read -r first <"/proc/$running/task/$running/children" || true
	[[ -z $first ]] || kill -KILL "$first" 2>/dev/null || true
	[[ $first ]] || kill -KILL "$running" 2>/dev/null || true
	wait "$running" 2>/dev/null || true
	running=''
}

leave() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP # once is enough: what follows must get to its end
	stop_stage
	if [[ $work && $keep ]]; then
		say "kept in $work; to enter it:" \
			"unshare -mpf chroot $work/root sh -c 'mount -t proc proc /proc; exec su - ${account:-root}'"
	elif [[ $work ]]; then
		rm -rf --one-file-system "$work/root" "$work"/stage-*
		if [[ $failed && ! $verbose && -d $work/log ]]; then
			say "what the stages printed is in $work/log"
		else
			rm -rf "$work"
		fi
	fi
	exit "$status"
}

# In the new namespaces: gives the machine its kernel file systems and runs a command in the user's home folder.
# Everything that is mounted here is gone with the namespace. Fails when the command leaves a program running.
inside() {
	local root=$1 user=$2 command=$3 status=0 node major minor
	local path=/usr/local/bin:/usr/bin:/bin home=/home/$user
	[[ $user != root ]] || path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin home=/root

	hostname "$name"
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	while read -r node major minor; do
		mknod -m 666 "$root/dev/$node" c "$major" "$minor"
	done <<<$'null 1 3\nzero 1 5\nfull 1 7\nrandom 1 8\nurandom 1 9\ntty 5 0'
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
	mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"

	chroot --userspec="$user" "$root" env -i HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash TERM=dumb \
		PATH="$path" sh -c "cd && $command" || status=$?
	nothing_left || status=1
	return "$status"
}

# Names the programs that still run, and fails if any does; those that are just ending have two seconds.
nothing_left() {
	local left pid
	for _ in {1..20}; do
		left=''
		for pid in /proc/[0-9]*; do
			[[ ${pid##*/} == 1 ]] || left+=$(tr '\0' ' ' 2>/dev/null <"$pid/cmdline")$'\n'
		done
		left=$(grep . <<<"$left") || return 0
		sleep 0.1
	done
	echo "still running:"$'\n'"$left" >&2
	return 1
}
export -f inside nothing_left
export name

# stage NAME COMMAND...: runs a command in namespaces of its own, and says how long it took.
stage() {
	local title=$1 log=$work/log/${1// /-} start=$SECONDS status=0 output
	shift
	say "$title …"
	if [[ $verbose ]]; then exec {output}>&1; else exec {output}>"$log"; fi
	# A session of its own, so that Ctrl-C is for this script, which then stops the stage.
	setsid env --default-signal=INT,QUIT unshare --mount --propagation private --uts --ipc --pid --fork \
		--kill-child --mount-proc "$@" </dev/null >&"$output" 2>&1 &
	running=$!
	wait "$running" || status=$?
	running=''
	exec {output}>&-
	stages+=("$(printf '%6ds  %s' $((SECONDS - start)) "$title")")
	((status)) || return 0
	[[ $verbose ]] || tail -n 150 "$log" >&2
	fail "$title (status $status)"
}

# on_machine NAME USER COMMAND: a stage inside the machine; in that of $root when there are several.
on_machine() {
	# shellcheck disable=SC2016 # the inner bash expands it
	stage "$1" bash -euo pipefail -c 'inside "$@"' "$name" "${root:-$work/root}" "$2" "$3"
}

# ---- Debian ----

# A name for what the base depends on, so that another mirror makes another one.
base_name() {
	echo "$suite-$(dpkg --print-architecture)-$(sha256sum <<<"$sources ${base_packages[*]} $(apt_settings)" | cut -c1-12).tar"
}

make_base() {
	local stored=''
	[[ -z $cache ]] || { mkdir -p "$cache"; stored=$cache/$(base_name); }
	if [[ $stored && -f $stored ]]; then
		say "Debian from $stored"
		tar -C "$work/root" -xpf "$stored" --numeric-owner
		return
	fi
	say "$suite is taken from $base_mirror"
	stage debootstrap debootstrap --variant=minbase "$suite" "$work/root" "$base_mirror"
	write_settings
	((${#base_packages[@]} == 0)) ||
		on_machine "installing ${base_packages[*]}" root "apt-get update -q && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -q --no-install-recommends ${base_packages[*]} &&
			apt-get clean && rm -rf /var/lib/apt/lists/*"
	if [[ $stored ]]; then
		tar -C "$work/root" -cf "$stored.$$" --one-file-system --numeric-owner .
		mv "$stored.$$" "$stored"
	fi
}

# What an installer would have written, and that services are not started: nothing here is an init system.
write_settings() {
	local uri release etc=$work/root/etc
	while read -r uri release; do
		echo "deb $uri $release main"
	done <<<"$sources" >"$etc/apt/sources.list"
	apt_settings >"$etc/apt/apt.conf.d/90this-machine"
	cp -L /etc/resolv.conf "$etc/resolv.conf"
	echo "$name" >"$etc/hostname"
	printf '%s\n' '127.0.0.1 localhost' "127.0.1.1 $name" \
		'::1 localhost ip6-localhost ip6-loopback' >"$etc/hosts"
	printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d"
	chmod 755 "$work/root/usr/sbin/policy-rc.d"
}

# ---- the beginning ----

stages=()

begin_machine() {
	trap leave EXIT
	trap 'stop 130' INT
	trap 'stop 143' TERM HUP
	check_this_machine
	work=$(mktemp -d "${TMPDIR:-/tmp}/$name-XXXXXX")
	chmod 755 "$work"
	mkdir "$work/root" "$work/log"
	make_base
	write_settings
}

how_long_it_took() { printf '%s\n' "${stages[@]}"; }
