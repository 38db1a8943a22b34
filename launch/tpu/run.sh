# Saying things and running commands. With --dry-run nothing runs: each command is printed on
# standard output, as one would type it.

exec 3>&1 # standard output, even where a function's own is captured

dry_run=
# What --dry-run takes for the answer when it is asked whether the machine is there: yes or no.
assume_there=yes

# die: a mistake of the user's. fail: a fault of the cloud's. say: what is going on.
die() {
  echo "tpu_vm.sh: $*" >&2
  exit 2
}
fail() {
  echo "tpu_vm.sh: $*" >&2
  exit 1
}
say() {
  echo "$*" >&2
}

# run COMMAND...
run() {
  if [ -n "$dry_run" ]; then
    quoted "$@" >&3
  else
    "$@"
  fi
}

# ask ANSWER COMMAND...: what the command prints. ANSWER is for --dry-run with the machine there.
ask() {
  local answer=$1
  shift
  if [ -z "$dry_run" ]; then
    "$@"
  else
    quoted "$@" >&3
    [ "$assume_there" = no ] || printf '%s\n' "$answer"
  fi
}

# persist TIMES COMMAND...: a machine that has just started does not answer at once.
persist() {
  local times=$1 try
  shift
  for ((try = 1; try <= times; try++)); do
    "$@" && return
    ((try == times)) || sleep "$poll"
  done
  return 1
}

# quoted WORD...: the words as a shell reads them.
quoted() {
  local word line=
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word=${word@Q}
    line+="${line:+ }$word"
  done
  printf '%s\n' "$line"
}
