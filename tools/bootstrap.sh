#!/usr/bin/env bash
# Makes a machine ready for Twinrig: Debian packages first, then .venv with the pinned versions.
#
#   tools/bootstrap.sh python   what `make check` needs: an interpreter and .venv
#   tools/bootstrap.sh all      also QEMU, the cross compilers and the MQTT broker (default)
#
# Promises: idempotent; under a second when nothing is missing; installs only what is missing, with
# apt-get as root or through sudo without a password, else names the command and exits 1; leaves no
# Debian service running that was not running before.
# PYTHON=... names the interpreter that .venv is made with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PATH=$PATH:/usr/sbin:/sbin # Debian keeps mosquitto there, off the PATH of an ordinary user.
scope=${1:-all}
python_minimum="3, 11"
stamp_file=.venv/twinrig.stamp
log_file=.build/bootstrap.log

say() { printf '[bootstrap] %s\n' "$*"; }
stop() { printf '[bootstrap] %s\n' "$@" >&2; exit 1; }

# --- which interpreter --------------------------------------------------------------------------

python_is_new_enough() {
  command -v "$1" >/dev/null && "$1" -c "import sys; sys.exit(sys.version_info < ($python_minimum))" 2>/dev/null
}

choose_python() {
  local candidate
  for candidate in ${PYTHON:-python3 /usr/bin/python3 python3.13 python3.12 python3.11}; do
    if python_is_new_enough "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  stop "Twinrig needs Python >= ${python_minimum/, /.}; found none of: ${PYTHON:-python3, python3.11 ... python3.13}." \
    "Install one, or name it: PYTHON=/path/to/python3 make ..."
}

# --- which Debian packages are missing ----------------------------------------------------------
# Asked by use, not by package name: a QEMU of the user's own on PATH is as good as Debian's.

has_command() { command -v "$1" >/dev/null; }
has_venv() { "$python" -c "import ensurepip, venv" 2>/dev/null; }
has_python_headers() {
  "$python" -c "import os, sysconfig; open(os.path.join(sysconfig.get_path('include'), 'Python.h'))" 2>/dev/null
}
has_newlib() { [ -e "$(arm-none-eabi-gcc -print-file-name=libc_nano.a 2>/dev/null)" ]; }
has_picolibc() { [ -e "$(riscv64-unknown-elf-gcc -print-file-name=picolibc.specs 2>/dev/null)" ]; }
has_libffi() { pkg-config --exists libffi 2>/dev/null; }
has_certificates() { [ -s /etc/ssl/certs/ca-certificates.crt ]; }

need() { # need PACKAGE PROBE...
  local package=$1
  shift
  "$@" || missing+=("$package")
}

find_missing() {
  missing=()
  venv_is_current || need_for_python
  [ "$scope" = python ] || need_for_boards
}

need_for_python() {
  need python3-venv has_venv
  need ca-certificates has_certificates
  # The C speed-ups of one dependency (cobs) are compiled at installation.
  need python3-dev has_python_headers
  need build-essential has_command g++
}

need_for_boards() {
  [[ " ${missing[*]} " == *" build-essential "* ]] || need build-essential has_command g++
  need pkg-config has_command pkg-config
  need libffi-dev has_libffi
  need dpkg-dev has_command dpkg-source
  need xz-utils has_command xz
  need gcc-arm-none-eabi has_command arm-none-eabi-gcc
  need libnewlib-arm-none-eabi has_newlib
  need gcc-riscv64-unknown-elf has_command riscv64-unknown-elf-gcc
  need picolibc-riscv64-unknown-elf has_picolibc
  need qemu-system-arm has_command qemu-system-arm
  need qemu-system-misc has_command qemu-system-riscv32
  need mosquitto has_command mosquitto
  need mosquitto-clients has_command mosquitto_sub
}

# --- install them -------------------------------------------------------------------------------

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  has_command apt-get && { [ "$(id -u)" -eq 0 ] || { has_command sudo && sudo -n true 2>/dev/null; }; }
}

apt() { # Never asks, waits for another apt, and RUNLEVEL=1 keeps init scripts from starting services.
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get --quiet --quiet -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

systemd_runs() { [ -d /run/systemd/system ]; }

install_packages() {
  local keep_broker_off=no
  if [[ " ${missing[*]} " == *" mosquitto "* ]] && systemd_runs; then keep_broker_off=yes; fi
  say "installing ${#missing[@]} Debian packages (a few minutes): ${missing[*]}"
  apt update >>"$log_file" 2>&1 || say "apt-get update reported an error; trying with the lists at hand"
  # Under systemd a masked unit is installed but not started; the demo starts a broker of its own.
  [ "$keep_broker_off" = no ] || as_root systemctl --quiet mask mosquitto.service
  apt install --yes --no-install-recommends "${missing[@]}" >>"$log_file" 2>&1 || {
    [ "$keep_broker_off" = no ] || as_root systemctl --quiet unmask mosquitto.service
    tail -n 20 "$log_file" >&2
    stop "apt-get could not install: ${missing[*]} (all of its output: $log_file)."
  }
  if [ "$keep_broker_off" = yes ]; then
    as_root systemctl --quiet unmask mosquitto.service
    as_root systemctl --quiet disable mosquitto.service >>"$log_file" 2>&1
  fi
}

ensure_packages() {
  find_missing
  [ "${#missing[@]}" -gt 0 ] || return 0
  may_install || stop "missing: ${missing[*]}" \
    "Not root and no sudo without a password, so nothing was changed. Please run:" \
    "  sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
  install_packages
  find_missing
  [ "${#missing[@]}" -eq 0 ] || stop "still missing after installation: ${missing[*]} (see $log_file)." \
    "If '${python:-python3}' is not Debian's own Python, try: PYTHON=/usr/bin/python3 make ..."
}

# --- the virtual environment --------------------------------------------------------------------

wanted_stamp() { { cat pyproject.toml constraints.txt tools/bootstrap.sh; pwd -P; } | sha256sum; }

venv_is_current() { [ "$(cat "$stamp_file" 2>/dev/null)" = "$stamp" ] && [ -x .venv/bin/python ]; }

venv_is_usable() { # A venv does not survive being moved: its scripts begin with its old path.
  [[ "$(head -n 1 .venv/bin/pip 2>/dev/null)" == "#!$(pwd -P)/.venv/bin/python"* ]] &&
    .venv/bin/pip --version >/dev/null 2>&1
}

pip_install() {
  .venv/bin/python -m pip --disable-pip-version-check --no-input install --constraint constraints.txt "$@" \
    2>&1 </dev/null | tee -a "$log_file" | sed -u -n -e 's/^Collecting \([^ ;<>=!~]*\).*/[bootstrap]   \1/p' \
    -e 's/^Building wheel for \([^ ]*\).*/[bootstrap]   building \1/p'
}

ensure_venv() {
  ! venv_is_current || return 0
  rm -f "$stamp_file"
  if ! venv_is_usable; then
    say "making .venv with $("$python" -V)"
    "$python" -m venv --clear .venv
  fi
  say "installing the versions of constraints.txt into .venv (a few minutes the first time)"
  if ! { pip_install setuptools && pip_install --no-build-isolation --editable '.[model,hil,board,dev]'; }; then
    grep -iE '^ *(error|warning)' "$log_file" | tail -n 10 >&2 || true
    stop "pip could not install the dependencies (all of its output: $log_file)."
  fi
  printf '%s\n' "$stamp" >"$stamp_file"
  say "ready: $(.venv/bin/python -V) in .venv"
}

case "$scope" in python | all) ;; *) stop "usage: tools/bootstrap.sh [python|all]" ;; esac
mkdir -p .build
exec 9>.build/bootstrap.lock
flock 9 || stop "another bootstrap holds .build/bootstrap.lock"
: >"$log_file"
stamp=$(wanted_stamp)
venv_is_current || python=$(choose_python)
ensure_packages
ensure_venv
