#!/bin/sh
# A browser for the tests of the page: Debian's Chromium where this is root of a Debian, else Playwright's own download.
#   scripts/install_browser.sh PYTHON
set -eu
python=$1
if command -v chromium-headless-shell > /dev/null; then
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null &&
  echo 'installing Chromium from Debian, for the tests of the page' >&2 && apt-get update -qq &&
  apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core > /dev/null; then
  :
else
  echo 'downloading a browser with Playwright, for the tests of the page' >&2
  "$python" -m playwright install --only-shell chromium
fi
