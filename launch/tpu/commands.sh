# The commands. Whatever fails says what may be left behind and cost money.

# What runs on a worker, in its home folder: launch/tpu/worker.sh under a name of its own.
on_worker="bash mashjax_worker.sh"

# While something is rented, an end of any kind says this. (Without traps of their own, signals now
# and then end bash before its trap for EXIT.)
warning=
trap '[ -z "$warning" ] || say_costs "$warning"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

command_create() {
  assume_there=no
  machine look || fail "gcloud did not say what is there already: nothing was created"
  [ "$(machine state)" = NONE ] ||
    die "$name exists already in $zone ($(one_line "$(machine describe)")): resume or delete it"
  create_machine || exit 1
  wait_until_ready
}

command_setup() {
  need_ready
  warning="the setup failed, and can be repeated"
  setup_workers || exit 1
  warning=
}

command_train() {
  need_ready
  warning="the training was not started on every worker; was setup run?"
  start_training || exit 1
  warning=
}

command_resume() {
  assume_there=no
  machine look || fail "gcloud did not say what is there: nothing was changed"
  case $(machine state) in
    NONE) create_machine || exit 1 ;;
    GONE) replace_machine || exit 1 ;;
  esac
  wait_until_ready
  warning="resume ended early, and can be repeated"
  setup_workers || exit 1
  start_training || exit 1
  warning=
}

command_status() {
  local ways=${via:-queued compute} unknown='' found='' costs=''
  for via in $ways; do
    if ! machine look; then
      unknown+=" $via"
      continue
    fi
    tell "$(machine describe)"
    found+=$(machine describe)
    costs+="${costs:+$'\n'}$(machine costs)"
    [ "$(machine state)" != READY ] || tell "$(training_report)"
  done
  [ -n "$found" ] || tell "no machine named $name in $zone"
  [ -z "$unknown" ] ||
    fail "what is there via$unknown is not known (gcloud's message is above; --via looks at one)"
  costs=$(one_line "$costs")
  if [ -n "$costs" ]; then
    tell "costs money now: $costs. Stop it: $delete_command"
  else
    tell "costs money now: nothing named $name in $zone, only what the bucket holds"
  fi
}

command_logs() {
  need_ready
  machine ssh "$worker" "$on_worker log $lines${follow:+ --follow}" run ||
    fail "worker $worker shows no log"
}

command_delete() {
  delete_all ${via:-queued compute} || exit 1
}

# machine VERB ...: that verb of the API which --via chooses.
machine() {
  local api=cloud_tpu verb=$1
  shift
  [ "$via" != compute ] || api=compute_engine
  "${api}_$verb" "$@"
}

create_machine() {
  local before=$warning
  say "renting $type in $zone as $name${spot:+, spot}"
  warning="interrupted"
  if ! machine create; then
    say "tpu_vm.sh: $name could not be created, gcloud's message is above"
    warning=$before
    delete_all "${via:-queued}"
    return 1
  fi
  assume_there=yes
  warning=$before
}

replace_machine() {
  say "$(one_line "$(machine describe)"): deleting it, and renting again"
  delete_all "${via:-queued}" && create_machine
}

wait_until_ready() {
  local state description='' shown=''
  warning="stopped waiting for $name"
  while true; do
    persist 5 machine look || exit 1
    state=$(machine state)
    description=$(one_line "$(machine describe)")
    [ "$description" = "$shown" ] || say "$description"
    shown=$description
    case $state in
      READY) break ;;
      WAITING) sleep "$poll" ;;
      *)
        warning=
        say "tpu_vm.sh: $name will not come"
        delete_all "${via:-queued}"
        exit 1
        ;;
    esac
  done
  warning=
}

need_ready() {
  machine look || fail "gcloud did not say what is there"
  case $(machine state) in
    READY) ;;
    NONE) die "there is no machine named $name in $zone via ${via:-queued}: create it first" ;;
    WAITING) die "$name is not there yet ($(one_line "$(machine describe)")): wait, or delete it" ;;
    *) die "$name was taken away ($(one_line "$(machine describe)")): resume rents it again" ;;
  esac
}

# A new machine may be called ready before its sshd is: hence the patience.
setup_workers() {
  local folder=${XDG_CACHE_HOME:-$HOME/.cache}/mashjax/launch
  local archive=$folder/mashjax.tar.gz script=$folder/mashjax_worker.sh
  say "installing mashjax on $hosts worker(s)"
  run mkdir -p "$folder" || return 1
  if [ -n "$wheel" ]; then
    run tar -czf "$archive" -C "$(dirname "$wheel")" "$(basename "$wheel")" \
      -C "$root" "$config" || return 1
  else
    run git -C "$root" archive --format=tar.gz --output="$archive" "$commit" || return 1
  fi
  run cp "$root/launch/tpu/worker.sh" "$script" || return 1
  persist 5 machine copy "$archive" "$script" || return 1
  machine ssh all "$on_worker setup" run
}

# One machine trains alone; several find each other, which --distributed tells them to.
start_training() {
  local flags=(--config="$config" --data="$data" --workdir="$workdir")
  ((hosts == 1)) || flags+=(--distributed)
  flags+=("${train_flags[@]}")
  machine ssh all "$on_worker start $(quoted "${flags[@]}")" run || return 1
  assume_training=done
  say "training; checkpoints are in $workdir"
}

# One line a worker, such as "mashjax-training: running". --dry-run makes up one for all.
assume_training=none
training_report() {
  local report
  report=$(machine ssh all "$on_worker state" \
    ask "mashjax-training: $assume_training" 2>/dev/null) || true
  grep -o 'mashjax-training: .*' <<<"$report" || echo "mashjax-training: no worker answers"
}

# delete_all WAY...: deletes what is there of this name, and looks whether it is gone.
delete_all() {
  local chosen=$via left='' status=0
  for via; do
    if machine look; then
      machine delete || status=1
    else
      status=1
    fi
    if [ -z "$dry_run" ] && machine look; then
      left+=${left:+$'\n'}$(machine describe)
    fi
  done
  via=$chosen
  left=$(one_line "$left")
  if ((status)) || [ -n "$left" ]; then
    [ -z "$left" ] || say "tpu_vm.sh: still there: $left"
    say_costs "not everything was deleted, gcloud's message is above"
    return 1
  fi
  [ -n "$dry_run" ] || say "nothing named $name is left in $zone; the bucket stays, and costs"
}

# tell: what was asked for; nothing under --dry-run, where standard output is for the commands.
tell() {
  [ -n "$dry_run" ] || [ -z "$*" ] || echo "$*"
}

one_line() {
  local line joined=
  while read -r line; do
    [ -z "$line" ] || joined+=${joined:+, }$line
  done <<<"$1"
  echo "$joined"
}

# say_costs WHAT: what happened, and that it may cost money. It forks nothing: in a trap that
# interrupted a wait, bash 5.2 may wait for a subshell forever.
say_costs() {
  say "tpu_vm.sh: $1. It may cost money: tpu_vm.sh status tells. Stop it: $delete_command"
}
