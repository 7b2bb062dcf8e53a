#!/bin/sh
# Runs before Redis is stopped (preStop): where a replica is in step it takes the shard over, without losing a write, and only then does this Redis
# stop; the coordinator drains after it. Nobody keeps what a hook prints,
# so it writes where Redis does.
. "$(dirname "$0")/lib.sh"
deadline=$(($(date +%s) + ${HANDOVER_SECONDS:-15}))

log() { say "handover: $*" > /proc/1/fd/1; }

# Those in step first, by how much of our stream they have.
replicas() {
  redis 127.0.0.1 info replication | tr -d '\r' | sed -n 's/^slave[0-9]*:ip=\([^,]*\),port=\([0-9]*\),state=online,offset=\([0-9]*\).*/\3 \1 \2/p' | sort -rn
}

is_master() { [ "$(role_of 127.0.0.1)" = master ]; }

while is_master && [ "$(date +%s)" -lt "$deadline" ]; do
  candidates=$(replicas)
  if [ -z "$candidates" ]; then
    log "no replica is in step: this shard is away until the pod is back"
    break
  fi
  echo "$candidates" | while read -r _ host port; do
    answer=$(REDIS_PORT=$port redis "$host" cluster failover)
    log "asked $host:$port to take over: $answer"
    if [ "$answer" = OK ]; then break; fi
  done
  # A failover that a majority does not grant is given up after 5 s.
  for _ in 1 2 3 4 5 6; do
    if ! is_master; then break; fi
    sleep 1
  done
done
if ! is_master; then log "this Redis is a replica now"; fi

# Services stop to name this pod only now and then; until they have, its coordinator goes on serving, and passes on what is for the new master.
sleep "${LINGER_SECONDS:-5}"
exit 0
