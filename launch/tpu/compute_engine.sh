# Machines of Compute Engine (v5p and v6e), where TPUs move: an instance template, a managed
# instance group made from it, and, for several machines that form one slice, a workload policy
# that says how they are wired. All of them bear the one name.

# Sets machine_type, topology (empty for one machine) and the image family.
# https://cloud.google.com/compute/docs/tpus/tpu-machines
read_compute_engine_type() {
  topology=
  case $type in
    v6e-1 | v6e-4 | v6e-8) machine_type=ct6e-standard-${type#v6e-}t ;;
    v6e-*) machine_type=ct6e-standard-4t ;;
    v5p-*) machine_type=ct5p-hightpu-4t ;;
    *) die "--type=$type is not to be had via compute: say --via=queued, or a v5p or v6e type" ;;
  esac
  case $type in
    v6e-1 | v6e-4 | v6e-8 | v5p-8) ;;
    v6e-16) topology=4x4 ;;
    v6e-32) topology=4x8 ;;
    v6e-64) topology=8x8 ;;
    v6e-128) topology=8x16 ;;
    v6e-256) topology=16x16 ;;
    v5p-16) topology=2x2x2 ;;
    v5p-32) topology=2x2x4 ;;
    v5p-64) topology=2x4x4 ;;
    v5p-128) topology=4x4x4 ;;
    v5p-256) topology=4x4x8 ;;
    v5p-512) topology=4x8x8 ;;
    *) die "--type=$type via compute: say v5p-8, -16, -32, -64, -128, -256 or -512" ;;
  esac
  runtime=${runtime:-ubuntu-accel-2204-amd64-tpu-v5e-v5p-v6e}
}

# Sets group, template, policy (their names, empty where none is), instances ("NAME STATUS" lines)
# and disks that outlived their machine.
compute_engine_look() {
  local made_up i
  made_up=$(for ((i = 0; i < hosts; i++)); do echo "$name-host$i RUNNING"; done)
  group=$(ask "$name" gcloud compute instance-groups managed list --project="$project" \
    --zones="$zone" --filter="name~^$name\$" --format="value(name)") || return 1
  template=$(ask "$name" gcloud compute instance-templates list --project="$project" \
    --filter="name~^$name\$" --format="value(name)") || return 1
  policy=$(ask "$name" gcloud compute resource-policies list --project="$project" \
    --regions="$region" --filter="name~^$name\$" --format="value(name)") || return 1
  instances=
  if [ -n "$group" ]; then
    instances=$(ask "$made_up" gcloud compute instance-groups managed list-instances "$name" \
      "${where[@]}" --format="value[separator=' '](instance.basename(),instanceStatus)" |
      sort) || return 1
  fi
  disks=$(ask "" gcloud compute disks list --project="$project" --zones="$zone" \
    --filter="name~^$name-[a-z0-9]{4}\$ AND -users:*" --format="value(name)") || return 1
}

compute_engine_state() {
  if [ -z "$group$template$policy" ]; then
    echo NONE
  elif [ -z "$group" ] || grep -qE ' (STOP|TERMINATED|SUSPEND)' <<<"$instances"; then
    echo GONE
  elif (($(grep -c ' RUNNING$' <<<"$instances") == hosts)); then
    echo READY
  else
    echo WAITING
  fi
}

compute_engine_describe() {
  [ -z "$group" ] || echo "instance group $name"
  [ -z "$instances" ] || sed 's/^/  machine /; s/ *$//' <<<"$instances"
  [ -z "$template" ] || echo "instance template $name"
  [ -z "$policy" ] || echo "workload policy $name"
  [ -z "$disks" ] || sed 's/^/disk without a machine: /' <<<"$disks"
}

compute_engine_costs() {
  [ -z "$instances" ] || sed -E 's/^([^ ]*).*/machine \1/' <<<"$instances"
  [ -z "$disks" ] || sed 's/^/disk /' <<<"$disks"
}

# A machine that is taken away is stopped, not repaired by the group: a slice starts again as a
# whole. `bulk` waits until all machines of the slice are to be had at once.
compute_engine_create() {
  local options=(--machine-type="$machine_type" --maintenance-policy=TERMINATE
    --image-project=ubuntu-os-accelerator-images --image-family="$runtime" --boot-disk-size=50GB
    --scopes=cloud-platform --labels=program=mashjax --network="$network")
  [ -z "$subnetwork" ] || options+=(--subnet="$subnetwork" --region="$region")
  [ -z "$internal_ip" ] || options+=(--no-address)
  [ -z "$service_account" ] || options+=(--service-account="$service_account")
  [ -z "$spot" ] || options+=(--provisioning-model=SPOT --instance-termination-action=STOP)
  run gcloud compute instance-templates create "$name" --project="$project" \
    "${options[@]}" --quiet || return 1

  options=(--template="$name" --size="$hosts" --default-action-on-vm-failure=do-nothing)
  if [ -n "$topology" ]; then
    run gcloud compute resource-policies create workload-policy "$name" --project="$project" \
      --region="$region" --type=HIGH_THROUGHPUT --accelerator-topology="$topology" --quiet ||
      return 1
    options+=(--target-size-policy-mode=bulk
      --workload-policy="projects/$project/regions/$region/resourcePolicies/$name")
  fi
  run gcloud compute instance-groups managed create "$name" "${where[@]}" "${options[@]}" --quiet
}

# Deletes what compute_engine_look found. The group takes its machines and their disks along.
compute_engine_delete() {
  local status=0
  if [ -n "$group" ]; then
    run gcloud compute instance-groups managed delete "$name" "${where[@]}" --quiet || status=1
  fi
  if [ -n "$template" ]; then
    run gcloud compute instance-templates delete "$name" --project="$project" --quiet || status=1
  fi
  if [ -n "$policy" ]; then
    run gcloud compute resource-policies delete "$name" --project="$project" \
      --region="$region" --quiet || status=1
  fi
  return "$status"
}

# compute_engine_ssh WORKER COMMAND PREFIX...: as cloud_tpu_ssh.
compute_engine_ssh() {
  local worker=$1 options=(--command="$2" --quiet)
  shift 2
  [ -z "$internal_ip" ] || options+=(--internal-ip)
  ssh_to() { "${prefix[@]}" gcloud compute ssh "$1" "${where[@]}" "${options[@]}"; }
  local prefix=("$@")
  each_machine "$worker" ssh_to
}

# compute_engine_copy FILE...: as cloud_tpu_copy.
compute_engine_copy() {
  local files=("$@") options=(--quiet)
  [ -z "$internal_ip" ] || options+=(--internal-ip)
  copy_to() { run gcloud compute scp "${files[@]}" "$1:" "${where[@]}" "${options[@]}"; }
  each_machine all copy_to
}

# each_machine WORKER FUNCTION: calls it with the name of that machine, or of all, at once.
each_machine() {
  local worker=$1 call=$2 number=0 machine status=0 pids=() pid
  while read -r machine _; do
    if [ "$worker" = all ] || [ "$worker" = "$number" ]; then
      if [ -n "$dry_run" ]; then
        "$call" "$machine"
      else
        "$call" "$machine" </dev/null &
        pids+=($!)
      fi
    fi
    number=$((number + 1))
  done <<<"$instances"
  [ "$worker" = all ] || ((worker < number)) || return 1
  for pid in "${pids[@]}"; do
    wait "$pid" || status=1
  done
  return "$status"
}
