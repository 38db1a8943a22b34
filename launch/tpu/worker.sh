#!/usr/bin/env bash
# What tpu_vm.sh does on each worker, in its home folder:
#   setup           install Python 3.12 and mashjax from mashjax.tar.gz
#   start FLAGS     start `python -m mashjax.train FLAGS` and leave it running
#   state           print none, running, done, stopped or failed
#   log LINES [--follow]
set -euo pipefail

uv_version=0.13.8
source=$HOME/mashjax    # unpacked here
python=$HOME/mashjax-env/bin/python
run=$HOME/mashjax-run   # train.log, and how the training stands

main() {
  local command=$1
  shift
  case $command in
    setup) setup ;;
    start) start "$@" ;;
    train) train "$@" ;;
    state) echo "mashjax-training: $(state)" ;;
    log) log "$@" ;;
    *)
      echo "worker.sh: what is $command?" >&2
      exit 2
      ;;
  esac
}

# The image's own Python is too old (3.10). uv brings one without root, without apt and its locks,
# and the same one whatever the image.
setup() {
  local wheel
  rm -rf "$source"
  mkdir -p "$source"
  tar -xzf "$HOME/mashjax.tar.gz" -C "$source"
  PATH=$HOME/.local/bin:$PATH
  if [[ $(uv --version 2>/dev/null) != "uv $uv_version "* ]]; then
    persist curl -LsSf "https://astral.sh/uv/$uv_version/install.sh" -o "$HOME/install_uv.sh"
    UV_INSTALL_DIR=$HOME/.local/bin UV_NO_MODIFY_PATH=1 persist sh "$HOME/install_uv.sh"
  fi
  [ -x "$python" ] || persist uv venv --quiet --python 3.12 "$HOME/mashjax-env"
  wheel=$(find "$source" -maxdepth 1 -name '*.whl')
  persist uv pip install --quiet --python "$python" --reinstall-package mashjax \
    "${wheel:-$source}[tpu]"
  "$python" -c 'from importlib.metadata import version as v
print("mashjax", v("mashjax"), "jax", v("jax"), "libtpu", v("libtpu"))'
}

start() {
  mkdir -p "$run"
  if [ "$(state)" = running ]; then
    echo "is running already"
    return
  fi
  [ -x "$python" ] || {
    echo "worker.sh: mashjax is not installed here: run setup first" >&2
    exit 1
  }
  setsid nohup bash "$0" train "$@" </dev/null >/dev/null 2>&1 &
  echo "$!" >"$run/pid"
}

# mashjax.train ends with 0 both when it is done and when SIGTERM stopped it: its last line tells.
train() {
  local status=0
  rm -f "$run/outcome"
  cd "$source"
  "$python" -m mashjax.train "$@" >"$run/output" 2>>"$run/train.log" || status=$?
  cat "$run/output" >>"$run/train.log"
  if ((status)); then
    echo "failed $status"
  elif grep -q '^done' "$run/output"; then
    echo "done"
  else
    echo "stopped"
  fi >"$run/outcome"
}

# A training without an outcome and without a process was killed, or its machine restarted.
state() {
  if [ ! -s "$run/pid" ]; then
    echo none
  elif grep -qs mashjax_worker "/proc/$(cat "$run/pid")/cmdline"; then
    echo running
  elif [ -s "$run/outcome" ]; then
    cat "$run/outcome"
  else
    echo stopped
  fi
}

log() {
  local lines=$1 follow=${2:-}
  [ -f "$run/train.log" ] || {
    echo "worker.sh: there is no log yet: nothing was started" >&2
    exit 1
  }
  tail -n "$lines" ${follow:+-F} "$run/train.log"
}

# A fresh machine's network has its moments.
persist() {
  local try
  for try in 1 2 3; do
    "$@" && return
    sleep "$((try * 5))"
  done
  return 1
}

main "$@"
