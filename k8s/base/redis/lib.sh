# What the scripts beside this one share.
REDISCLI_AUTH=$(cat "$REDIS_PASSWORD_FILE")
export REDISCLI_AUTH
REDIS_PORT=${REDIS_PORT:-6379}

say() { echo "$(date -u +%FT%TZ) $*"; }

# redis HOST COMMAND...: one command, which ends. redis-cli itself has no bound for a host that is away.
redis() {
  redis_host=$1
  shift
  timeout 3 redis-cli -h "$redis_host" -p "$REDIS_PORT" "$@"
}

# address_of NAME: its address now, nothing where there is none. CLUSTER MEET takes no names.
address_of() { getent hosts "$1" | awk '{ print $1; exit }'; }

# cluster_info HOST FIELD
cluster_info() { redis "$1" cluster info | tr -d '\r' | sed -n "s/^$2://p"; }

# role_of HOST: master or slave
role_of() { redis "$1" role | head -n 1; }
