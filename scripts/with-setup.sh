#!/bin/sh
# Sets up everything that is missing on a fresh Debian 12 machine, then runs a script under Node 24:
#   sh scripts/with-setup.sh SCRIPT.ts [ARGS]
# Needs Node >= 20, npm and root. Without root, or on another system, it says what is missing and goes on
# with PLIMSOLL_LAB_MISSING set: unit tests and simulated scenarios run anywhere. PLIMSOLL_SETUP=SUITE: with what that suite needs besides.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"

say() { printf 'setup: %s\n' "$*" >&2; }

wanted=$(sed -e 's/#.*//' -e "s/^${PLIMSOLL_SETUP:-no-suite}: *//" -e '/:/d' packaging/debian-packages.txt | tr -s '[:space:]' ' ')

missing_packages() {
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
  for package in $wanted; do
    printf '%s\n' "$installed" | grep -qxF -- "$package" || printf '%s ' "$package"
  done
}

is_debian_12() {
  [ -r /etc/os-release ] || return 1
  # shellcheck disable=SC1091
  ( . /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ] )
}

# Services of these packages must not start on this machine: the lab runs its own in namespaces.
install_packages() {
  policy=/usr/sbin/policy-rc.d
  own_policy=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    own_policy=$policy
  fi
  trap '[ -z "$own_policy" ] || rm -f "$own_policy"' EXIT INT TERM
  # Debian's own switch: an sshd that only the lab wants does not run after the next boot either.
  case " $* " in *' openssh-server '*) mkdir -p /etc/ssh && : > /etc/ssh/sshd_not_to_be_run ;; esac
  say "installing Debian packages: $*"
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "apt-get failed: see above, mend it and run this again"
    exit 1
  fi
  rm -f "$log"
  [ -z "$own_policy" ] || rm -f "$own_policy"
  trap - EXIT INT TERM
}

if ! command -v npm > /dev/null 2>&1; then
  say "npm is missing: install Node.js 20 or newer with npm, then run this again"
  exit 1
fi

lab_missing=
if ! is_debian_12; then
  lab_missing="this is not Debian 12; the lab needs these Debian packages: $wanted"
else
  missing=$(missing_packages)
  if [ "$(id -u)" != 0 ]; then
    lab_missing="not root; the lab needs root${missing:+ and these packages: $missing}"
  elif [ -n "$missing" ]; then
    # shellcheck disable=SC2086
    install_packages $missing
  fi
fi
if [ -n "$lab_missing" ]; then
  say "no lab on this machine: $lab_missing"
  say "unit tests, wire fakes and simulated scenarios run all the same"
  export PLIMSOLL_LAB_MISSING="$lab_missing"
fi

stamp=node_modules/.plimsoll-lock
if ! cmp -s package-lock.json "$stamp" 2>/dev/null; then
  say "installing npm packages"
  npm ci --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json "$stamp"
fi

PATH="$root/node_modules/.bin:$PATH"
export PATH
script=$1
shift
exec "$root/node_modules/.bin/node" --disable-warning=ExperimentalWarning "$script" "$@"
