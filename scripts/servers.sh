#!/usr/bin/env bash
# Installs the servers of the local backend on Debian: PostgreSQL, Redis, Apache Kafka with a Java runtime,
# and what the build needs. Package registries only; a second run finds everything in place and does nothing.
# Exit codes: 0 all is there, 4 something is missing and could not be installed here.
set -euo pipefail

KAFKA_VERSION=4.3.1
LOG4J_VERSION=2.25.4
KAFKA_HOME="${CROSSCHECK_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/crosscheck/kafka-$KAFKA_VERSION}"

say() { printf 'servers: %s\n' "$*"; }
give_up() { printf 'servers: %s\n' "$*" >&2; exit 4; }
have() { command -v "$1" >/dev/null 2>&1; }

# The highest PostgreSQL, as a folder of binaries; empty when there is none from 15 on.
postgres_bin() {
  local dir
  for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -Vr); do
    if [[ -x $dir/postgres && -x $dir/initdb ]] && (($(basename "$(dirname "$dir")") >= 15)); then
      printf '%s' "$dir"
      return
    fi
  done
  if have postgres && have initdb; then dirname "$(command -v postgres)"; fi
}

java_major() {
  have java || { printf 0; return; }
  java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p;' | head -n 1
}

kafka_jar() { compgen -G "$KAFKA_HOME/libs/kafka_*.jar" | head -n 1 || true; }

missing_packages() {
  [[ -n ${CROSSCHECK_POSTGRES_BIN:-} || -n $(postgres_bin) ]] || printf 'postgresql '
  [[ -n ${CROSSCHECK_REDIS_SERVER:-} ]] || have redis-server || printf 'redis-server '
  (($(java_major) >= 17)) || printf 'default-jre-headless '
  [[ -n $(kafka_jar) ]] || have mvn || printf 'maven '
  have gcc || printf 'gcc libc6-dev '
  have g++ || printf 'g++ '
  have make || printf 'make '
  [[ -e /usr/include/zlib.h ]] || printf 'zlib1g-dev '
}

# The packages must not start services of their own: our servers run on ports of their own.
POLICY=/usr/sbin/policy-rc.d
WORK=""
OUR_POLICY=""
clean_up() {
  [[ -z $OUR_POLICY ]] || rm -f "$POLICY"
  [[ -z $WORK ]] || rm -rf "$WORK"
}
trap clean_up EXIT

install_packages() {
  local packages=("$@")
  [[ -e /etc/debian_version ]] || give_up "this is not Debian; install by hand: ${packages[*]}"
  [[ $(id -u) -eq 0 ]] || give_up "not root; run as root: apt-get install --no-install-recommends ${packages[*]}"
  if [[ ! -e $POLICY ]]; then
    OUR_POLICY=yes
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >"$WORK/apt.log" 2>&1 || give_up "apt-get update failed: $(tail -n 3 "$WORK/apt.log")"
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$WORK/apt.log" 2>&1 ||
    give_up "apt-get install ${packages[*]} failed: $(tail -n 3 "$WORK/apt.log")"
  say "installed from Debian: ${packages[*]}"
}

install_kafka() {
  cat >"$WORK/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>crosscheck</groupId><artifactId>kafka-server</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$LOG4J_VERSION</version></dependency>
  </dependencies>
</project>
POM
  mvn -q -B -f "$WORK/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$WORK/libs" >"$WORK/mvn.log" 2>&1 ||
    give_up "could not fetch Kafka $KAFKA_VERSION from Maven Central: $(grep -m 1 ERROR "$WORK/mvn.log" || tail -n 3 "$WORK/mvn.log")"
  # Into place by rename, so that an interrupted copy is never taken for an installation.
  mkdir -p "$KAFKA_HOME"
  rm -rf "$KAFKA_HOME/libs.new"
  cp -r "$WORK/libs" "$KAFKA_HOME/libs.new"
  rm -rf "$KAFKA_HOME/libs" "$KAFKA_HOME/classes.jsa"
  mv "$KAFKA_HOME/libs.new" "$KAFKA_HOME/libs"
  say "installed Kafka $KAFKA_VERSION in $KAFKA_HOME"
}

# Kafka starts twice as fast from an archive of the classes that it loads. It is good for the very same class path
# only: the jars in sorted order, as the harness passes them.
archive_kafka_classes() {
  local jar class_path="" ports pid
  while read -r jar; do class_path+="$jar:"; done < <(printf '%s\n' "$KAFKA_HOME"/libs/*.jar | LC_ALL=C sort)
  mapfile -t ports < <(shuf -i 15000-30000 -n 2)
  cat >"$WORK/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${ports[0]}
listeners=CONTROLLER://127.0.0.1:${ports[0]},DIRECT://127.0.0.1:${ports[1]}
advertised.listeners=DIRECT://127.0.0.1:${ports[1]}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,DIRECT:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
log.dirs=$WORK/storage
CONF
  cat >"$WORK/log4j2.properties" <<'CONF'
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
CONF
  local java=(java -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    "-Djava.io.tmpdir=$WORK" "-Dlog4j2.configurationFile=$WORK/log4j2.properties")
  "${java[@]}" -cp "$class_path" kafka.tools.StorageTool format -t Y3Jvc3NjaGVjay1rYWZrYQ \
    -c "$WORK/server.properties" >"$WORK/kafka.log" 2>&1 || return 1
  "${java[@]}" "-XX:ArchiveClassesAtExit=$WORK/classes.jsa" -cp "$class_path" \
    kafka.Kafka "$WORK/server.properties" >>"$WORK/kafka.log" 2>&1 &
  pid=$!
  for _ in $(seq 600); do
    if grep -q 'Kafka Server started' "$WORK/kafka.log"; then break; fi
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.1
  done
  kill -TERM "$pid"
  wait "$pid" || true
  [[ -s $WORK/classes.jsa ]] && cp "$WORK/classes.jsa" "$KAFKA_HOME/classes.new" &&
    mv "$KAFKA_HOME/classes.new" "$KAFKA_HOME/classes.jsa"
}

WORK=$(mktemp -d)
read -ra packages <<<"$(missing_packages)"
if ((${#packages[@]} > 0)); then install_packages "${packages[@]}"; fi
if [[ -z $(kafka_jar) ]]; then install_kafka; fi
if [[ ! -e $KAFKA_HOME/classes.jsa ]]; then
  if archive_kafka_classes; then
    say "archived Kafka's classes in $KAFKA_HOME/classes.jsa"
  else
    say "could not archive Kafka's classes, so Kafka starts more slowly: $(tail -n 1 "$WORK/kafka.log")"
  fi
fi

bin="${CROSSCHECK_POSTGRES_BIN:-$(postgres_bin)}"
[[ -n $bin ]] || give_up "no PostgreSQL from version 15 on; this Debian has an older one, set CROSSCHECK_POSTGRES_BIN"
say "PostgreSQL $("$bin/postgres" --version | awk '{print $3}') in $bin"
say "Redis $("${CROSSCHECK_REDIS_SERVER:-redis-server}" --version | sed 's/.*v=\([^ ]*\).*/\1/')"
say "Kafka $(basename "$(kafka_jar)" .jar | sed 's/.*-//') in $KAFKA_HOME, Java $(java_major)"
