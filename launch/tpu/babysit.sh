# Keeps a training going on machines that may be taken away. Google stops a spot machine at any
# time; the training has saved a checkpoint, and goes on from it on the next machine. The number
# of attempts is bounded, since each of them costs money.

command_babysit() {
  local attempts=0 unanswered=0 begun=
  assume_there=no
  while true; do
    warning="babysit ended, nobody looks after $name any more"
    persist 5 machine look || exit 1
    case $(machine state) in
      NONE | GONE) rent ;;
      READY) look_at_training ;;
    esac
    [ -n "$dry_run" ] || sleep "$poll"
  done
}

# The first renting is no attempt: babysit may begin with nothing.
rent() {
  [ -z "$begun$(machine describe)" ] || count_attempt "$name was taken away"
  begun=yes
  if [ "$(machine state)" = NONE ]; then
    create_machine || true
  else
    replace_machine || true
  fi
}

look_at_training() {
  local state
  begun=yes
  state=$(training_state)
  [ "$state" = unknown ] || unanswered=0
  case $state in
    done) finish 0 "the training is done: $workdir" ;;
    none) train_again ;;
    stopped) stopped ;;
    failed) failed ;;
    unknown) unanswered=$((unanswered + 1)) ;;
  esac
  ((unanswered < 10)) || finish 1 "the workers do not answer any more"
}

train_again() {
  setup_workers && start_training && return
  count_attempt "the training could not be started"
}

# A training is stopped, or fails, when its machine is just being taken away, too: the next look
# tells.
stopped() {
  is_still_there || return 0
  count_attempt "the training was stopped"
  train_again
}

failed() {
  is_still_there || return 0
  machine ssh 0 "$on_worker log 40" run || true
  finish 1 "the training failed: its last lines are above"
}

is_still_there() {
  sleep "$poll"
  persist 5 machine look || exit 1
  [ "$(machine state)" = READY ]
}

# done, failed, running, none (not begun), stopped (all of them, before the end), or unknown.
training_state() {
  local report
  report=$(training_report)
  if [ -z "$dry_run" ] && (($(grep -c -v 'no worker answers' <<<"$report") != hosts)); then
    echo unknown
  elif grep -q ': failed' <<<"$report"; then
    echo failed
  elif grep -q ': running' <<<"$report"; then
    echo running
  elif grep -q ': none' <<<"$report"; then
    echo none
  elif grep -q ': stopped' <<<"$report"; then
    echo stopped
  else
    echo done
  fi
}

count_attempt() {
  ((attempts < recreations)) || finish 1 "$1, and --recreations=$recreations is used up"
  attempts=$((attempts + 1))
  say "$1: attempt $attempts of $recreations"
}

# finish STATUS WHY: the end; the machine is deleted, unless --keep.
finish() {
  say "$2"
  if [ -z "$keep" ]; then
    warning=
    delete_all "${via:-queued}" || exit 1
  else
    warning="$name was kept"
  fi
  exit "$1"
}
