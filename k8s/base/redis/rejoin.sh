#!/bin/sh
# Runs once Redis has started (postStart). A Redis node remembers the others by their addresses, and pods come back with new ones. Where the others are
# still up they notice by themselves who called them; where all pods were replaced at once nobody knows anybody, so each is introduced again by
# name. Never fails: a pod whose peers are away is still a pod.
. "$(dirname "$0")/lib.sh"
deadline=$(($(date +%s) + ${REJOIN_SECONDS:-30}))

# Whether this is no replica, or one that has its master's data. Of a master's new address a replica may hear from a third node first: then Redis knows it
# there, and goes on asking for the data at the old one.
follows() {
  replication=$(redis 127.0.0.1 info replication | tr -d '\r')
  case $replication in *role:master* | *master_link_status:up*) return 0 ;; esac
  asked=$(echo "$replication" | sed -n 's/^master_host://p')
  master=$(redis 127.0.0.1 cluster nodes | awk '/myself/ { print $4 }')
  known=$(redis 127.0.0.1 cluster nodes | sed -n "s/^$master \(.*\):[0-9]*@.*/\1/p")
  if [ -n "$known" ] && [ "$known" != "$asked" ]; then
    say "rejoin: the master is at $known, no longer at $asked" > /proc/1/fd/1
    redis 127.0.0.1 cluster replicate "$master" > /dev/null
  fi
  return 1
}

until [ "$(date +%s)" -ge "$deadline" ]; do
  known=0
  there=0
  # Of each node: its id, its name, what it is, and where we take it to be, which of ourselves may be nowhere.
  while read -r id name flags address; do
    known=$((known + 1))
    case $flags in *myself*) there=$((there + 1)) && continue ;; esac
    # An old address may still be somebody's, or a name lead to the pod before.
    if [ "$(redis "$name" cluster myid)" != "$id" ]; then continue; fi
    current=$(address_of "$name")
    if [ "$current" = "$address" ]; then there=$((there + 1)); else redis 127.0.0.1 cluster meet "$current" "$REDIS_PORT" > /dev/null; fi
  done << EOF
$(redis 127.0.0.1 cluster nodes | grep -v -e noaddr -e handshake | sed 's/^\([^ ]*\) \(.*\):[0-9]*@[0-9]*,\([^ ,]*\)[^ ]* \([^ ]*\) .*/\1 \3 \4 \2/')
EOF
  # A majority tells the rest. A node that is alone has not joined yet: the Job does that.
  if [ $((2 * there)) -gt "$known" ] && follows; then exit 0; fi
  sleep 1
done
exit 0
