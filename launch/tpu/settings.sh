# The settings: their defaults, where they come from, and what is a mistake in them.

name=${MASHJAX_NAME:-mashjax}
project=${MASHJAX_PROJECT:-${CLOUDSDK_CORE_PROJECT:-}}
zone=${MASHJAX_ZONE:-${CLOUDSDK_COMPUTE_ZONE:-}}
type=${MASHJAX_TYPE:-} # v5litepod-8, or v6e-8 via compute
spot=${MASHJAX_SPOT:-}
via=${MASHJAX_VIA:-}
bucket=${MASHJAX_BUCKET:-}
data=${MASHJAX_DATA:-}
workdir=${MASHJAX_WORKDIR:-}
config=${MASHJAX_CONFIG:-configs/mashup.py}
commit=${MASHJAX_COMMIT:-}
wheel=${MASHJAX_WHEEL:-}
runtime=${MASHJAX_RUNTIME:-}
network=${MASHJAX_NETWORK:-default}
subnetwork=${MASHJAX_SUBNETWORK:-}
internal_ip=${MASHJAX_INTERNAL_IP:-}
service_account=${MASHJAX_SERVICE_ACCOUNT:-}
worker=${MASHJAX_WORKER:-0}
lines=${MASHJAX_LINES:-100}
follow=${MASHJAX_FOLLOW:-}
recreations=${MASHJAX_RECREATIONS:-20}
poll=${MASHJAX_POLL:-30}
keep=${MASHJAX_KEEP:-}
train_flags=() # what follows --

read_settings() {
  while (($#)); do
    case $1 in
      --name=*) name=${1#*=} ;;
      --project=*) project=${1#*=} ;;
      --zone=*) zone=${1#*=} ;;
      --type=*) type=${1#*=} ;;
      --spot) spot=yes ;;
      --via=*) via=${1#*=} ;;
      --bucket=*) bucket=${1#*=} ;;
      --data=*) data=${1#*=} ;;
      --workdir=*) workdir=${1#*=} ;;
      --config=*) config=${1#*=} ;;
      --commit=*) commit=${1#*=} ;;
      --wheel=*) wheel=${1#*=} ;;
      --runtime=*) runtime=${1#*=} ;;
      --network=*) network=${1#*=} ;;
      --subnetwork=*) subnetwork=${1#*=} ;;
      --internal-ip) internal_ip=yes ;;
      --service-account=*) service_account=${1#*=} ;;
      --worker=*) worker=${1#*=} ;;
      --lines=*) lines=${1#*=} ;;
      --follow) follow=yes ;;
      --recreations=*) recreations=${1#*=} ;;
      --poll=*) poll=${1#*=} ;;
      --keep) keep=yes ;;
      --dry-run) dry_run=yes ;;
      --)
        shift
        train_flags=("$@")
        break
        ;;
      *) die "what is $1? tpu_vm.sh --help lists the flags; values follow an equals sign" ;;
    esac
    shift
  done
}

check_settings() {
  matches name "$name" '^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$' \
    "lower-case letters, digits and hyphens, at most 50, a letter first"
  matches project "$project" '^[a-z][a-z0-9.:-]{4,62}$' "the id of a Google Cloud project"
  matches zone "$zone" '^[a-z]+-[a-z]+[0-9]+-[a-z0-9]+$' "a zone, such as us-central1-a"
  matches spot "$spot" '^(yes)?$' "yes or nothing"
  matches internal_ip "$internal_ip" '^(yes)?$' "yes or nothing"
  matches follow "$follow" '^(yes)?$' "yes or nothing"
  matches keep "$keep" '^(yes)?$' "yes or nothing"
  matches via "$via" '^(queued|direct|compute)?$' "queued, direct or compute"
  matches network "$network" '^[a-z][a-z0-9-]{0,62}$' "the name of a network"
  matches subnetwork "$subnetwork" '^([a-z][a-z0-9-]{0,62})?$' "the name of a subnetwork"
  matches service-account "$service_account" '^([a-z0-9.-]+@[a-z0-9.-]+)?$' "an e-mail address"
  matches runtime "$runtime" '^[a-z0-9.-]*$' "a TPU software version or an image family"
  matches worker "$worker" '^[0-9]{1,4}$' "a number from 0"
  matches lines "$lines" '^[0-9]{1,6}$' "a number"
  matches recreations "$recreations" '^[0-9]{1,4}$' "a number from 0"
  matches poll "$poll" '^[0-9]{1,4}$' "a number of seconds"
  read_type

  where=(--project="$project" --zone="$zone")
  region=${zone%-*}
  delete_command="launch/tpu_vm.sh delete --name=$name --project=$project --zone=$zone"
  case $1 in
    setup | resume | babysit) check_source ;;
  esac
  case $1 in
    train | resume | babysit) check_training ;;
  esac
}

# matches NAME VALUE PATTERN WHAT: the value is what it must be, or the user is told so.
matches() {
  [[ $2 =~ $3 ]] && return
  [ -n "$2" ] || die "--$1 is missing: say $4"
  die "--$1=$2 is wrong: say $4"
}

# The type says how many TensorCores (v4, v5p: two a chip) or chips (v5litepod, v6e) are rented.
# Sets hosts, the machines that should be (the node itself tells how many there are), and runtime.
read_type() {
  local size cloud_tpu_image
  [ "$via" != compute ] || type=${type:-v6e-8}
  type=${type:-v5litepod-8}
  matches type "$type" '^(v4|v5litepod|v5p|v6e)-[1-9][0-9]{0,3}$' \
    "v4-8, v5litepod-8, v5p-8, v6e-8 or a larger one"
  size=${type##*-}
  case $type in
    v4-* | v5p-*)
      ((size % 8 == 0)) || die "--type=$type is wrong: the number must be divisible by 8"
      hosts=$((size / 8))
      ;;
    *)
      [[ $size =~ ^(1|4|8|16|32|64|128|256)$ ]] ||
        die "--type=$type is wrong: the number must be 1, 4, 8, 16, 32, 64, 128 or 256"
      hosts=$((size > 8 ? size / 4 : 1))
      ;;
  esac
  case $type in
    v4-*) cloud_tpu_image=tpu-ubuntu2204-base ;;
    v5litepod-*) cloud_tpu_image=v2-alpha-tpuv5-lite ;;
    v5p-*) cloud_tpu_image=v2-alpha-tpuv5 ;;
    v6e-*) cloud_tpu_image=v2-alpha-tpuv6e ;;
  esac
  if [ "$via" = compute ]; then
    read_compute_engine_type
  else
    runtime=${runtime:-$cloud_tpu_image}
  fi
}

# What is installed: a commit of this clone, or a wheel.
check_source() {
  matches config "$config" '^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py$' "a file of configs/"
  if [ -n "$wheel" ]; then
    [ -z "$commit" ] || die "--commit and --wheel exclude each other: say one"
    [[ $wheel == *.whl && -f $wheel ]] || die "--wheel=$wheel is not there, or no wheel"
    [ -f "$root/$config" ] || die "--config=$config is not in $root"
  else
    commit=${commit:-HEAD}
    commit=$(git -C "$root" rev-parse --verify --quiet --end-of-options "$commit^{commit}") ||
      die "--commit names no commit of $root: git log lists them"
    git -C "$root" cat-file -e "$commit:$config" 2>/dev/null ||
      die "--config=$config is not in commit ${commit:0:12}: commit it, or name another"
    git -C "$root" diff --quiet "$commit" -- mashjax "$config" pyproject.toml ||
      say "tpu_vm.sh: the changes since commit ${commit:0:12} are not committed, and not installed"
  fi
}

check_training() {
  matches config "$config" '^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py$' "a file of configs/"
  local address='^gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*/?$'
  [ -z "$bucket" ] || matches bucket "$bucket" "$address" "gs://NAME"
  bucket=${bucket%/}
  data=${data:-${bucket:+$bucket/store}}
  workdir=${workdir:-${bucket:+$bucket/runs/$name}}
  matches data "$data" "$address" "gs://BUCKET/FOLDER, or --bucket=gs://BUCKET"
  matches workdir "$workdir" "$address" "gs://BUCKET/FOLDER, or --bucket=gs://BUCKET"
}
