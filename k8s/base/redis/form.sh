#!/bin/sh
# Makes one Redis Cluster of the pods: the first MASTERS of them get the slots, the others become replicas, by turns. Looks before each step whether
# it is done already, so it can be run again at any time: after a failure in its midst, or when there are more pods than before.
set -u
. "$(dirname "$0")/lib.sh"

name_of() { echo "$STATEFULSET-$1.$NODES_DOMAIN"; }
ordinals() { seq "$1" $(($2 - 1)); }

# until_done WHAT COMMAND...: the Job's own deadline is its bound.
until_done() {
  what=$1
  shift
  until "$@"; do
    say "waiting: $what"
    sleep 1
  done
  say "done: $what"
}

die() {
  say "$*" >&2
  exit 1
}

id_of() { redis "$(name_of "$1")" cluster myid; }
# line_of ORDINAL: what the node says of itself in CLUSTER NODES
line_of() { redis "$(name_of "$1")" cluster nodes | grep -w myself; }

answers() { [ "$(redis "$(name_of "$1")" ping)" = PONG ]; }
knows_all() { [ "$(redis "$(name_of "$1")" cluster nodes | grep -v -e handshake -e noaddr | grep -c .)" -ge "$NODES" ]; }
is_replica_in_step() { redis "$(name_of "$1")" info replication | grep -q '^master_link_status:up'; }
serves() { [ "$(cluster_info "$(name_of "$1")" cluster_state)" = ok ]; }

# Epochs that differ from the start: nodes that share one would have to settle first who is right. Only a node that knows nobody takes one.
number() {
  if [ "$(cluster_info "$(name_of "$1")" cluster_known_nodes)" = 1 ] && [ "$(cluster_info "$(name_of "$1")" cluster_my_epoch)" = 0 ]; then
    redis "$(name_of "$1")" cluster set-config-epoch $(($1 + 1)) > /dev/null
  fi
}

# By the address that the pod has now: the first one may remember another.
introduce() {
  address=$(address_of "$(name_of "$1")")
  if redis "$(name_of 0)" cluster nodes | grep -q "^$(id_of "$1") $address:"; then return; fi
  redis "$(name_of 0)" cluster meet "$address" "$REDIS_PORT" > /dev/null
}

assign() {
  if [ "$(line_of "$1" | wc -w)" -gt 8 ]; then return; fi
  answer=$(redis "$(name_of "$1")" cluster addslotsrange $(($1 * 16384 / MASTERS)) $((($1 + 1) * 16384 / MASTERS - 1)))
  [ "$answer" = OK ] || die "$(name_of "$1") took no slots: $answer"
}

# The master of the shard that the node belongs to: itself, or whom it follows.
master_of() { line_of "$1" | awk '{ print $4 == "-" ? $1 : $4 }'; }

follow() {
  line=$(line_of "$1")
  # A replica, or a master with slots: a failover has made it one, or somebody on purpose.
  if echo "$line" | grep -q slave || [ "$(echo "$line" | wc -w)" -gt 8 ]; then return; fi
  master=$(master_of $(($1 % MASTERS)))
  answer=$(redis "$(name_of "$1")" cluster replicate "$master")
  [ "$answer" = OK ] || die "$(name_of "$1") does not follow $master: $answer"
}

for ordinal in $(ordinals 0 "$NODES"); do until_done "$(name_of "$ordinal") answers" answers "$ordinal"; done
for ordinal in $(ordinals 0 "$NODES"); do number "$ordinal"; done
for ordinal in $(ordinals 1 "$NODES"); do introduce "$ordinal"; done
for ordinal in $(ordinals 0 "$NODES"); do until_done "$(name_of "$ordinal") knows $NODES nodes" knows_all "$ordinal"; done
if [ "$(cluster_info "$(name_of 0)" cluster_slots_assigned)" != 16384 ]; then
  for ordinal in $(ordinals 0 "$MASTERS"); do assign "$ordinal"; done
fi
for ordinal in $(ordinals "$MASTERS" "$NODES"); do follow "$ordinal"; done
for ordinal in $(ordinals 0 "$NODES"); do until_done "$(name_of "$ordinal") serves" serves "$ordinal"; done
for ordinal in $(ordinals "$MASTERS" "$NODES"); do
  if line_of "$ordinal" | grep -q slave; then until_done "$(name_of "$ordinal") has its master's data" is_replica_in_step "$ordinal"; fi
done
say "the cluster stands: $MASTERS masters of $NODES nodes"
