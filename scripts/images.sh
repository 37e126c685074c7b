#!/usr/bin/env bash
# Builds small images of PostgreSQL, Redis and Apache Kafka for machines that reach no registry of images: a Debian
# base by debootstrap, Debian's packages, and the Kafka jars that scripts/servers.sh has fetched. Their entrypoints
# keep to what the official images (postgres, redis, apache/kafka) promise, as far as the docker backend uses it.
# A second run finds the images and does nothing; `docker rmi` one to have it built anew.
# Exit codes: 0 all images are there, 4 one is missing and could not be built here.
set -euo pipefail

KAFKA_VERSION=4.3.1
KAFKA_HOME="${CROSSCHECK_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/crosscheck/kafka-$KAFKA_VERSION}"
SUITE=bookworm
MIRROR="${CROSSCHECK_DEBIAN_MIRROR:-http://deb.debian.org/debian}"

POSTGRES=crosscheck-local/postgres:15
REDIS=crosscheck-local/redis:7
KAFKA=crosscheck-local/kafka:$KAFKA_VERSION

say() { printf 'images: %s\n' "$*"; }
give_up() { printf 'images: %s\n' "$*" >&2; exit 4; }
have() { command -v "$1" >/dev/null 2>&1; }
has_image() { docker image inspect "$1" >/dev/null 2>&1; }

WORK=""
MOUNTED=()
clean_up() {
  local at
  for at in "${MOUNTED[@]}"; do umount "$at" 2>/dev/null || umount -l "$at" 2>/dev/null || true; done
  # Never through a mount that would not go.
  [[ -z $WORK ]] || rm -rf --one-file-system "$WORK"
}
trap clean_up EXIT

# Every image begins as a copy of this.
make_base() {
  [[ ! -d $WORK/base ]] || return 0
  if ! have debootstrap; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap; } \
      >"$WORK/log" 2>&1 || give_up "apt-get install debootstrap failed: $(tail -n 3 "$WORK/log")"
  fi
  debootstrap --variant=minbase "$SUITE" "$WORK/base" "$MIRROR" >"$WORK/log" 2>&1 ||
    give_up "debootstrap $SUITE from $MIRROR failed: $(tail -n 3 "$WORK/log")"
  # Debian's security updates come from a suite of their own.
  printf 'deb %s %s main\ndeb %s-security %s-security main\n' "$MIRROR" "$SUITE" "$MIRROR" "$SUITE" \
    >"$WORK/base/etc/apt/sources.list"
  printf 'path-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\nforce-unsafe-io\n' \
    >"$WORK/base/etc/dpkg/dpkg.cfg.d/crosscheck"
  printf '#!/bin/sh\nexit 101\n' >"$WORK/base/usr/sbin/policy-rc.d"
  chmod 755 "$WORK/base/usr/sbin/policy-rc.d"
  # What this machine needs in order to reach its mirror, a proxy say.
  cp /etc/resolv.conf "$WORK/base/etc/resolv.conf"
  grep -rhsiE '^ *Acquire::(https?::Proxy|Check-)' /etc/apt/apt.conf /etc/apt/apt.conf.d \
    >"$WORK/base/etc/apt/apt.conf.d/99machine" || true
  in_root "$WORK/base" apt-get update -qq
}

in_root() {
  local root=$1
  shift
  LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$root" "$@" >"$WORK/log" 2>&1 ||
    give_up "$* failed: $(tail -n 3 "$WORK/log")"
}

# A copy of the base with these packages: its path is in ROOT.
make_root() {
  ROOT=$WORK/$1
  shift
  make_base
  cp -a "$WORK/base" "$ROOT"
  mount -t proc proc "$ROOT/proc"
  MOUNTED+=("$ROOT/proc")
  in_root "$ROOT" apt-get install -y -qq --no-install-recommends "$@"
  umount "$ROOT/proc"
  rm -rf "$ROOT"/var/lib/apt/lists/* "$ROOT"/var/cache/apt/* "$ROOT"/usr/share/{doc,man,locale}/* \
    "$ROOT"/etc/apt/apt.conf.d/99machine "$ROOT"/usr/sbin/policy-rc.d "$ROOT"/tmp/* "$ROOT"/var/log/*.log
}

# Its entrypoint is on stdin; what else it says about itself are lines of a Dockerfile.
finish_image() {
  local image=$1
  shift
  cat >"$ROOT/usr/local/bin/docker-entrypoint.sh"
  chmod 755 "$ROOT/usr/local/bin/docker-entrypoint.sh"
  # Under another name until it is whole: an image that is there is taken for a good one.
  tar -C "$ROOT" --one-file-system -c . | docker import - "$image-root" >"$WORK/log" 2>&1 ||
    give_up "docker import of $image failed: $(tail -n 3 "$WORK/log")"
  # The old builder: the new one is a package of its own, which nobody needs for this.
  printf '%s\n' "FROM $image-root" 'ENTRYPOINT ["docker-entrypoint.sh"]' "$@" |
    DOCKER_BUILDKIT=0 docker build -q -t "$image" - >"$WORK/log" 2>&1 ||
    give_up "docker build of $image failed: $(tail -n 3 "$WORK/log")"
  docker rmi "$image-root" >/dev/null
  rm -rf --one-file-system "$ROOT"
  say "built $image, $(docker image inspect --format '{{.Size}}' "$image" | awk '{printf "%d MB", $1 / 1e6}')"
}

build_postgres() {
  make_root postgres postgresql-15
  # The cluster that the package makes; ours are made by the entrypoint.
  rm -rf "$ROOT"/var/lib/postgresql/15 "$ROOT"/etc/postgresql/15
  finish_image "$POSTGRES" 'ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    'ENV PGDATA=/var/lib/postgresql/data' 'VOLUME /var/lib/postgresql/data' 'EXPOSE 5432' 'STOPSIGNAL SIGINT' \
    'CMD ["postgres"]' <<'ENTRY'
#!/bin/sh
# As the official image: a database cluster is made in $PGDATA if there is none, with the password that
# POSTGRES_PASSWORD says or the method that POSTGRES_HOST_AUTH_METHOD says, and postgres runs with the flags given.
set -eu
case ${1:-} in -*) set -- postgres "$@" ;; esac
if [ "${1:-}" = postgres ] && [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown -R postgres: "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo 'set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust' >&2
    exit 1
  fi
  words=/tmp/password
  printf '%s\n' "${POSTGRES_PASSWORD:-unused}" >"$words"
  # Unquoted on purpose: several arguments.
  initdb -D "$PGDATA" -U "${POSTGRES_USER:-postgres}" --pwfile="$words" --auth-local=trust ${POSTGRES_INITDB_ARGS:-}
  rm -f "$words"
  printf '\nhost all all all %s\nhost replication all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" \
    "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
fi
exec "$@"
ENTRY
}

build_redis() {
  make_root redis redis-server
  finish_image "$REDIS" 'VOLUME /data' 'WORKDIR /data' 'EXPOSE 6379' 'CMD ["redis-server"]' <<'ENTRY'
#!/bin/sh
# As the official image: flags alone mean redis-server, which runs in /data under a user of its own.
set -eu
case ${1:-} in -*) set -- redis-server "$@" ;; esac
if [ "${1:-}" = redis-server ] && [ "$(id -u)" = 0 ]; then
  chown -R redis: /data
  exec setpriv --reuid=redis --regid=redis --init-groups -- "$0" "$@"
fi
exec "$@"
ENTRY
}

build_kafka() {
  compgen -G "$KAFKA_HOME/libs/kafka_*.jar" >/dev/null ||
    give_up "there is no Kafka in $KAFKA_HOME: run scripts/servers.sh first"
  make_root kafka openjdk-17-jre-headless
  mkdir -p "$ROOT/opt/kafka/libs" "$ROOT/var/lib/kafka/data"
  cp "$KAFKA_HOME"/libs/*.jar "$ROOT/opt/kafka/libs/"
  # Native libraries for other machines.
  rm -rf "$ROOT"/opt/kafka/libs/rocksdbjni-*.jar
  finish_image "$KAFKA" 'ENV CLUSTER_ID=5L6g3nShT-eMCtK--X86sw' 'VOLUME /var/lib/kafka/data' 'EXPOSE 9092' \
    'CMD ["/etc/kafka/docker/run"]' <<'ENTRY'
#!/bin/sh
# As the official image: KAFKA_SOME_NAME is the setting some.name (__ is an underscore, ___ a hyphen), the storage is
# formatted for CLUSTER_ID if it is not yet, and KAFKA_HEAP_OPTS and KAFKA_JVM_PERFORMANCE_OPTS go to Java.
set -eu
[ "${1:-}" = /etc/kafka/docker/run ] || exec "$@"
config=/opt/kafka/server.properties
env | LC_ALL=C sort | sed -n 's/^KAFKA_\([A-Z0-9_]*\)=\(.*\)$/\1 \2/p' | while read -r name value; do
  case $name in HEAP_OPTS | JVM_PERFORMANCE_OPTS | OPTS | LOG4J*) continue ;; esac
  name=$(printf %s "$name" | tr 'A-Z' 'a-z' | sed 's/___/-/g; s/__/\x01/g; s/_/./g; s/\x01/_/g')
  printf '%s=%s\n' "$name" "$value"
done >"$config"
cat >/opt/kafka/log4j2.properties <<'LOG'
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n%ex
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
LOG
classes=$(printf '%s:' /opt/kafka/libs/*.jar)
archive=/opt/kafka/classes.jsa
[ ! -s "$archive" ] || KAFKA_OPTS="${KAFKA_OPTS:-} -XX:SharedArchiveFile=$archive"
set -- ${KAFKA_HEAP_OPTS:--Xmx1g -Xms1g} -Xlog:disable ${KAFKA_JVM_PERFORMANCE_OPTS:-} ${KAFKA_OPTS:-} \
  -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp "$classes"
data=${KAFKA_LOG_DIRS:-/tmp/kafka-logs}
if [ ! -s "$data/meta.properties" ]; then
  said=$(java "$@" kafka.tools.StorageTool format --ignore-formatted -t "$CLUSTER_ID" -c "$config" 2>&1) || {
    printf '%s\n' "$said" >&2
    exit 1
  }
fi
exec java "$@" kafka.Kafka "$config"
ENTRY
  archive_kafka_classes || say "could not archive Kafka's classes, so it starts more slowly: $(tail -n 1 "$WORK/log")"
}

# Kafka starts twice as fast from an archive of the classes that it loads, which it writes as it ends.
archive_kafka_classes() {
  local container ctx=$WORK/archive
  container=$(docker run -d -e KAFKA_NODE_ID=1 -e KAFKA_PROCESS_ROLES=broker,controller \
    -e KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER -e KAFKA_CONTROLLER_QUORUM_VOTERS=1@127.0.0.1:9093 \
    -e KAFKA_LISTENERS=CONTROLLER://127.0.0.1:9093,BROKER://127.0.0.1:9094 -e KAFKA_INTER_BROKER_LISTENER_NAME=BROKER \
    -e KAFKA_ADVERTISED_LISTENERS=BROKER://127.0.0.1:9094 -e KAFKA_LOG_DIRS=/var/lib/kafka/data \
    -e KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT \
    -e 'KAFKA_HEAP_OPTS=-Xms64m -Xmx256m' -e 'KAFKA_JVM_PERFORMANCE_OPTS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1' \
    -e KAFKA_OPTS=-XX:ArchiveClassesAtExit=/opt/kafka/classes.jsa "$KAFKA" 2>"$WORK/log") || return 1
  mkdir -p "$ctx"
  for _ in $(seq 900); do
    docker logs "$container" >"$WORK/log" 2>&1
    if grep -q 'Kafka Server started' "$WORK/log"; then break; fi
    sleep 0.1
  done
  docker stop -t 60 "$container" >/dev/null
  docker cp "$container:/opt/kafka/classes.jsa" "$ctx/" >"$WORK/log" 2>&1 &&
    printf 'FROM %s\nCOPY classes.jsa /opt/kafka/\n' "$KAFKA" >"$ctx/Dockerfile" &&
    DOCKER_BUILDKIT=0 docker build -q -t "$KAFKA" "$ctx" >"$WORK/log" 2>&1
  local built=$?
  docker rm -fv "$container" >/dev/null
  return "$built"
}

have docker && docker version >/dev/null 2>&1 || give_up "no Docker engine answers: run scripts/docker.sh first"
wanted=()
has_image "$POSTGRES" || wanted+=(postgres)
has_image "$REDIS" || wanted+=(redis)
has_image "$KAFKA" || wanted+=(kafka)
if ((${#wanted[@]} > 0)); then
  [[ $(id -u) -eq 0 ]] || give_up "only root can build images by debootstrap; missing: ${wanted[*]}"
  WORK=$(mktemp -d)
  chmod 755 "$WORK"
  for image in "${wanted[@]}"; do "build_$image"; done
fi
for image in "$POSTGRES" "$REDIS" "$KAFKA"; do
  say "$image $(docker image inspect --format '{{.Id}}' "$image" | cut -c 8-19)"
done
