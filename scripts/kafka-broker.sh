#!/usr/bin/env bash
# Starts or stops a one-node Kafka broker (KRaft) on 127.0.0.1 for studies and for the tests that need a real one.
#
#   scripts/kafka-broker.sh start [PORT]    default 9092; the next port is its controller's
#   scripts/kafka-broker.sh stop
#
# Needs java 17 and mvn (Debian: openjdk-17-jre-headless, maven). The jars come from Maven's repositories, once.
# Everything lies in $KAFKA_FOLDER (default: build/kafka under the target folder); KAFKA_VERSION chooses the release.
set -euo pipefail

version=${KAFKA_VERSION:-3.9.1}
folder=${KAFKA_FOLDER:-${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/kafka}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
jars=$folder/jars-$version

fetch_jars() {
  [ -e "$jars/.complete" ] && return
  cat > "$folder/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>thalweg</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
  mvn -q -B -f "$folder/pom.xml" dependency:copy-dependencies -DoutputDirectory="$jars"
  touch "$jars/.complete"
}

start() {
  local port=${1:-9092}
  if [ -e "$folder/pid" ] && kill -0 "$(cat "$folder/pid")" 2>/dev/null; then
    echo "a broker runs already: pid $(cat "$folder/pid")" >&2
    exit 1
  fi
  fetch_jars
  cat > "$folder/broker.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$folder/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
PROPERTIES
  if [ ! -e "$folder/data/meta.properties" ]; then
    java -cp "$jars/*" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$folder/broker.properties" > "$folder/format.log" 2>&1
  fi
  nohup java -Xmx512m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$jars/*" \
    kafka.Kafka "$folder/broker.properties" > "$folder/broker.log" 2>&1 &
  echo $! > "$folder/pid"
  for _ in $(seq 120); do
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "127.0.0.1:$port"
      return
    fi
    kill -0 "$(cat "$folder/pid")" 2>/dev/null || break
    sleep 0.5
  done
  echo "the broker did not start; see $folder/broker.log" >&2
  exit 1
}

stop() {
  [ -e "$folder/pid" ] || { echo "no broker was started here" >&2; exit 1; }
  local pid
  pid=$(cat "$folder/pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 60); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.5
  done
  rm -f "$folder/pid"
}

case ${1:-} in
  start) start "${2:-}" ;;
  stop) stop ;;
  *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
