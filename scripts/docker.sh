#!/usr/bin/env bash
# Has a Docker engine that answers: installs it on Debian, and starts `dockerd` where nothing else does. It needs no
# registry of images. A second run finds the engine answering and does nothing.
# Exit codes: 0 an engine answers, 4 there is none and none could be started here.
set -euo pipefail

LOG="${CROSSCHECK_DOCKERD_LOG:-/var/log/crosscheck-dockerd.log}"
READY_S=30

say() { printf 'docker: %s\n' "$*"; }
give_up() { printf 'docker: %s\n' "$*" >&2; exit 4; }
have() { command -v "$1" >/dev/null 2>&1; }

# Both ends: a client alone prints its own version and fails. A daemon that hangs must not hang us.
answers() { have docker && timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

POLICY=/usr/sbin/policy-rc.d
WORK=$(mktemp -d)
OUR_POLICY=""
clean_up() {
  [[ -z $OUR_POLICY ]] || rm -f "$POLICY"
  rm -rf "$WORK"
}
trap clean_up EXIT

missing_packages() {
  have dockerd || printf 'docker.io '
  # From Debian 13 on, the client is a package of its own.
  have docker || ! apt-cache show docker-cli >/dev/null 2>&1 || printf 'docker-cli '
  have iptables || printf 'iptables '
}

# The package must not start a service of its own: there may be no init to start it, and we see that it answers.
install_packages() {
  local packages=("$@")
  [[ -e /etc/debian_version ]] || give_up "this is not Debian; install by hand: ${packages[*]}"
  if [[ ! -e $POLICY ]]; then
    OUR_POLICY=yes
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$WORK/apt.log" 2>&1 ||
    give_up "apt-get install ${packages[*]} failed: $(tail -n 3 "$WORK/apt.log")"
  say "installed from Debian: ${packages[*]}"
}

# Starts a daemon with these flags. It outlives this script.
start() {
  local pid
  printf '%s dockerd %s\n' "$(date -u +%FT%TZ)" "$*" >>"$LOG"
  setsid nohup dockerd "$@" >>"$LOG" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq $((READY_S * 10))); do
    if answers; then return 0; fi
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.1
  done
  kill -TERM "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  return 1
}

# Which iptables a kernel takes, only trying tells.
choose_iptables() {
  local kind
  for kind in nft legacy; do
    if have "iptables-$kind" && "iptables-$kind" -t nat -L -n >/dev/null 2>&1; then
      update-alternatives --set iptables "$(command -v "iptables-$kind")" >/dev/null 2>&1 || true
      update-alternatives --set ip6tables "$(command -v "ip6tables-$kind")" >/dev/null 2>&1 || true
      return
    fi
  done
}

if ! answers; then
  [[ -z ${DOCKER_HOST:-} ]] || give_up "nobody answers at DOCKER_HOST=$DOCKER_HOST; start that engine, or unset it"
  [[ $(id -u) -eq 0 ]] || give_up "no engine answers, and only root can start one: start Docker, or run this as root"
  if ! have docker || ! have dockerd || ! have iptables; then
    apt-get update -qq >"$WORK/apt.log" 2>&1 || give_up "apt-get update failed: $(tail -n 3 "$WORK/apt.log")"
    read -ra packages <<<"$(missing_packages)"
    install_packages "${packages[@]}"
  fi
  # An earlier daemon's, which ended without removing it; one that lives would have answered.
  if [[ -s /var/run/docker.pid ]] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then
    rm -f /var/run/docker.pid
  fi
  choose_iptables
  # The quickest storage first; the last one works on every file system, and is slow.
  started=""
  for driver in overlay2 fuse-overlayfs vfs; do
    if start --storage-driver "$driver"; then
      started=$driver
      break
    fi
    say "dockerd does not start with the storage driver $driver"
  done
  [[ -n $started ]] || give_up "dockerd does not start; its last words: $(tail -n 3 "$LOG")"
  say "started dockerd, storage driver $started, log $LOG"
fi
say "engine $(docker version --format '{{.Server.Version}}'), storage driver $(docker info --format '{{.Driver}}')"
