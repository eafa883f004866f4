#!/bin/sh
# A PostgreSQL server for the tests of shared searches: Debian's, where this is root.
set -eu
if command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo 'installing PostgreSQL from Debian, for the tests of shared searches' >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql > /dev/null
else
  echo 'PostgreSQL is not installed: the tests that need a server of it will be skipped' >&2
fi
