#!/usr/bin/env bash
# Trains on one machine with NVIDIA GPUs, on all of them; CUDA_VISIBLE_DEVICES=0,1 takes fewer.
# The first time, it installs mashjax with CUDA into .venv-cuda, or the folder $MASHJAX_VENV.
#
#   launch/gpu.sh [--dry-run] --config=configs/mashup.py --data=STORE --workdir=RUN ...
#
# The flags are those of `python -m mashjax.train`. The same command goes on with a stopped run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${MASHJAX_VENV:-.venv-cuda}
oldest_driver=580 # of CUDA 13, which the extra `cuda` installs

die() {
  echo "gpu.sh: $*" >&2
  exit 2
}

run=()
if [ "${1:-}" = --dry-run ]; then
  run=(echo)
  shift
fi
(($#)) || die "say what to train: --config=configs/mashup.py --data=STORE --workdir=RUN"

# One process sees all GPUs: no --distributed.
drivers=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null) ||
  die "nvidia-smi finds no GPU: install NVIDIA's driver $oldest_driver or newer"
driver=${drivers%%$'\n'*} # one line a GPU, all the same
((${driver%%.*} >= oldest_driver)) ||
  die "the GPU driver is $driver: CUDA 13 needs $oldest_driver or newer"

# The stamp says which dependencies are installed; the code itself is used from here.
stamp=$venv/installed
wanted=$(cksum <pyproject.toml)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  python=$(command -v python3.12 || command -v python3.11) ||
    die "there is neither python3.12 nor python3.11: install one, with its venv"
  "${run[@]}" "$python" -m venv "$venv"
  "${run[@]}" "$venv/bin/python" -m pip install --quiet --editable '.[cuda]'
  [ -n "${run[*]}" ] || echo "$wanted" >"$stamp"
fi

[ -n "${run[*]}" ] || exec "$venv/bin/python" -m mashjax.train "$@"
"${run[@]}" "$venv/bin/python" -m mashjax.train "$@"
