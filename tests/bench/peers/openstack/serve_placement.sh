#!/usr/bin/env bash
# serve_placement.sh DBURL PORT [PROCESSES] [THREADS]
# OpenStack Placement (openstack-placement of $VENV) on 127.0.0.1:PORT, in the foreground, with the settings that served it best:
# uwsgi, two processes of five threads on two cores, no debugging, no log of requests. (Candidates in random order made it no
# faster: few placements conflict.) No authentication, which spares it a keystone.
set -euo pipefail
VENV=${VENV:?a virtual environment with openstack-placement, uwsgi and psycopg2}
database=$1 port=$2 processes=${3:-2} threads=${4:-5}
export OS_PLACEMENT_DATABASE__CONNECTION=$database
export OS_PLACEMENT_DATABASE__MAX_POOL_SIZE=25
export OS_PLACEMENT_DATABASE__MAX_OVERFLOW=100
export OS_PLACEMENT_DATABASE__SYNC_ON_STARTUP=True
export OS_DEFAULT__DEBUG=False
export OS_DEFAULT__DEFAULT_LOG_LEVELS=placement=WARNING
export OS_API__AUTH_STRATEGY=noauth2
exec "$VENV/bin/uwsgi" --http-socket "127.0.0.1:$port" --http-keepalive --master --need-app --die-on-term --no-orphans \
  --module placement.wsgi.api:application --venv "$VENV" --processes "$processes" --threads "$threads" \
  --disable-logging --buffer-size 65535
