# Machines of the Cloud TPU API (v4 to v6e): a TPU node, rented directly or through a queued
# resource of the same name, which then owns it.

# Sets queue and node: the states of the queued resource and of the node, empty where none is;
# and hosts, when the node knows how many machines it consists of.
# A list that finds nothing is a success, so that a fault of the network is never "nothing there".
cloud_tpu_look() {
  local of_this_name="name~/$name\$" endpoints
  queue=$(ask ACTIVE gcloud compute tpus queued-resources list "${where[@]}" \
    --filter="$of_this_name" --format="value(state.state)") || return 1
  node=$(ask "READY $hosts" gcloud compute tpus tpu-vm list "${where[@]}" --filter="$of_this_name" \
    --format="value[separator=' '](state,networkEndpoints.len())") || return 1
  read -r node endpoints <<<"$node"
  ((${endpoints:-0} == 0)) || hosts=$endpoints
}

# NONE, WAITING, READY, or GONE: it was taken away, or will never come.
cloud_tpu_state() {
  case $queue/$node in
    /) echo NONE ;;
    */READY) echo READY ;;
    FAILED/* | SUSPENDED/* | SUSPENDING/*) echo GONE ;;
    */PREEMPTED | */TERMINATED | */STOPP* | */HID* | */UNKNOWN | */DELETING | ACTIVE/) echo GONE ;;
    *) echo WAITING ;;
  esac
}

cloud_tpu_describe() {
  [ -z "$queue" ] || echo "queued resource $name: $queue"
  [ -z "$node" ] || echo "TPU machine $name: $node"
}

cloud_tpu_costs() {
  case $node in
    "" | PREEMPTED | TERMINATED) ;;
    *) echo "TPU machine $name" ;;
  esac
}

cloud_tpu_create() {
  local options=(--accelerator-type="$type" --network="$network" --labels=program=mashjax)
  [ -z "$subnetwork" ] || options+=(--subnetwork="$subnetwork")
  [ -z "$internal_ip" ] || options+=(--internal-ips)
  [ -z "$service_account" ] || options+=(--service-account="$service_account")
  [ -z "$spot" ] || options+=(--spot)
  if [ "$via" = direct ]; then
    run gcloud compute tpus tpu-vm create "$name" "${where[@]}" \
      --version="$runtime" "${options[@]}" --quiet
  else
    run gcloud compute tpus queued-resources create "$name" "${where[@]}" \
      --node-id="$name" --runtime-version="$runtime" "${options[@]}" --quiet
  fi
}

# Deletes what cloud_tpu_look found. --force takes the queued resource's node along.
cloud_tpu_delete() {
  local status=0
  if [ -n "$queue" ]; then
    run gcloud compute tpus queued-resources delete "$name" "${where[@]}" --force --quiet ||
      status=1
  fi
  if [ -n "$node" ] && { [ -z "$queue" ] || ((status)); }; then
    run gcloud compute tpus tpu-vm delete "$name" "${where[@]}" --quiet || status=1
  fi
  return "$status"
}

# cloud_tpu_ssh WORKER COMMAND PREFIX...: WORKER is a number or all; PREFIX is run, or ask ANSWER.
cloud_tpu_ssh() {
  local options=(--worker="$1" --command="$2" --quiet)
  shift 2
  [ -z "$internal_ip" ] || options+=(--internal-ip)
  "$@" gcloud compute tpus tpu-vm ssh "$name" "${where[@]}" "${options[@]}"
}

# cloud_tpu_copy FILE...: into the home folder of every worker.
cloud_tpu_copy() {
  local options=(--worker=all --quiet)
  [ -z "$internal_ip" ] || options+=(--internal-ip)
  run gcloud compute tpus tpu-vm scp "$@" "$name:" "${where[@]}" "${options[@]}"
}
