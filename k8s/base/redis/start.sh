#!/bin/sh
# PID 1 of the Redis container: adds what the file cannot know. It goes in by standard input, so that the password is in no file of ours and
# in no argument.
set -eu
# As Redis wants it between quotes.
password=$(sed 's/[\\"]/\\&/g' "$REDIS_PASSWORD_FILE")
exec redis-server /etc/redis/redis.conf - <<EOF
requirepass "$password"
masterauth "$password"
cluster-announce-hostname $POD_NAME.$NODES_DOMAIN
EOF
