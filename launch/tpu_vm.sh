#!/usr/bin/env bash
# Trains on Cloud TPUs. Needs gcloud, logged in (`gcloud auth login`), and git.
# Read on in tpu/: settings, run, cloud_tpu, compute_engine, commands, babysit, worker.
set -euo pipefail

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  echo "tpu_vm.sh: needs bash 4.4 or newer, this is $BASH_VERSION (on a Mac: brew install bash)" >&2
  exit 2
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/launch/tpu/run.sh"
. "$root/launch/tpu/settings.sh"
. "$root/launch/tpu/cloud_tpu.sh"
. "$root/launch/tpu/compute_engine.sh"
. "$root/launch/tpu/commands.sh"
. "$root/launch/tpu/babysit.sh"

usage() {
  cat <<'TEXT'
launch/tpu_vm.sh COMMAND [--flag=value ...] [-- FLAGS OF mashjax.train ...]

  create    rent the machine, and wait until it is there
  setup     put Python 3.12 and mashjax on every worker
  train     start the training on every worker, and leave it running
  resume    whatever of the three is missing; training goes on from its last checkpoint
  status    what is there, what of it costs money, how the training stands
  logs      the training's log
  delete    stop the training and delete everything that costs money, except for the bucket
  babysit   resume until the training is done, again whenever the machine is taken away; then delete

  --dry-run             print the commands instead of running them
  --project=ID --zone=ZONE          of Google Cloud; no default
  --name=mashjax        of the machine, and of all that belongs to it
  --type=v5litepod-8    what is rented: v4-8 ..., v5litepod-1 ..., v5p-8 ..., v6e-1 ...
  --spot                cheaper, and may be taken away at any time
  --via=queued          queued: wait in the queue of the Cloud TPU API. direct: now or never.
                        compute: Compute Engine's instance groups (v5p and v6e, default v6e-8;
                        for several machines, a gcloud of 2026: gcloud components update)
  --bucket=gs://NAME    in the zone's region; the machine's service account may read and write it
  --data=gs://...       the store that mashjax.preprocess wrote. default: BUCKET/store
  --workdir=gs://...    checkpoints and metrics. default: BUCKET/runs/NAME
  --config=configs/mashup.py
  --commit=HEAD         what to install: this commit of this clone,
  --wheel=FILE.whl      or this wheel
  --runtime=VERSION     the image: a TPU software version; via compute, an image family
  --network=default --subnetwork=NAME --internal-ip --service-account=EMAIL
  --worker=0 --lines=100 --follow   for logs
  --recreations=20      babysit: how often to rent again, or to start the training again
  --poll=30             seconds between two looks
  --keep                babysit: do not delete at the end

Each flag has an environment variable: MASHJAX_PROJECT, MASHJAX_ZONE, MASHJAX_SPOT=yes, ...
TEXT
}

case ${1:-} in
  "" | -h | --help | help)
    usage
    ;;
  create | setup | train | resume | status | logs | delete | babysit)
    command=$1
    shift
    read_settings "$@"
    check_settings "$command"
    "command_$command"
    ;;
  *) die "what is $1? Say create, setup, train, resume, status, logs, delete or babysit" ;;
esac
