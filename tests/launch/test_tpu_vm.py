"""launch/tpu_vm.sh against a gcloud that records its arguments and plays back its answers."""

import os
import re
import shlex
import signal
import subprocess
import tarfile

import pytest

from .conftest import Cloud, Reply

WHERE = ["--project=my-project", "--zone=us-central2-b"]
OF_THIS_NAME = "--filter=name~/mashjax$"
LOOK = [
    [
        *("compute", "tpus", "queued-resources", "list", *WHERE),
        *(OF_THIS_NAME, "--format=value(state.state)"),
    ],
    [
        *("compute", "tpus", "tpu-vm", "list", *WHERE, OF_THIS_NAME),
        "--format=value[separator=' '](state,networkEndpoints.len())",
    ],
]
STOP = "Stop it: launch/tpu_vm.sh delete --name=mashjax --project=my-project --zone=us-central2-b"
STOCKOUT = Reply(err="ERROR: There is no more capacity in the zone", code=1)
OFFLINE = Reply(err="ERROR: gcloud is offline", code=1)


def queue_and_node(cloud: Cloud, *states: tuple[str, str]) -> None:
    """Look after look, the states of the queued resource and of its node."""
    cloud.on("queued-resources list", *(queue for queue, _ in states))
    cloud.on("tpu-vm list", *(node for _, node in states))


# --- create ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "runtime"),
    [
        ("v4-16", "tpu-ubuntu2204-base"),
        ("v5litepod-8", "v2-alpha-tpuv5-lite"),
        ("v5p-8", "v2-alpha-tpuv5"),
        ("v6e-32", "v2-alpha-tpuv6e"),
    ],
)
def test_create_queues_and_waits(cloud, type_, runtime):
    queue_and_node(
        cloud,
        ("", ""),
        ("WAITING_FOR_RESOURCES", ""),
        ("PROVISIONING", "CREATING 0"),
        ("ACTIVE", "READY 2"),
    )
    cloud.on("queued-resources create")
    done = cloud.tpu_vm("create", f"--type={type_}", "--spot")
    assert done.returncode == 0
    create = ["compute", "tpus", "queued-resources", "create", "mashjax", *WHERE]
    create += ["--node-id=mashjax", f"--runtime-version={runtime}", f"--accelerator-type={type_}"]
    create += ["--network=default", "--labels=program=mashjax", "--spot", "--quiet"]
    assert cloud.calls() == [*LOOK, create, *LOOK, *LOOK, *LOOK]
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"renting {type_} in us-central2-b as mashjax, spot",
        "queued resource mashjax: WAITING_FOR_RESOURCES",
        "queued resource mashjax: PROVISIONING, TPU machine mashjax: CREATING",
        "queued resource mashjax: ACTIVE, TPU machine mashjax: READY",
    ]


def test_create_directly_with_all_options(cloud):
    queue_and_node(cloud, ("", ""), ("", "READY"))
    cloud.on("tpu-vm create")
    done = cloud.tpu_vm(
        "create",
        "--via=direct",
        "--name=me-2",
        "--runtime=tpu-vm-base",
        "--network=net",
        "--subnetwork=sub",
        "--internal-ip",
        "--service-account=me@my-project.iam.gserviceaccount.com",
    )
    assert done.returncode == 0
    assert cloud.calls()[2] == [
        *("compute", "tpus", "tpu-vm", "create", "me-2", *WHERE, "--version=tpu-vm-base"),
        *("--accelerator-type=v5litepod-8", "--network=net", "--labels=program=mashjax"),
        *("--subnetwork=sub", "--internal-ips"),
        *("--service-account=me@my-project.iam.gserviceaccount.com", "--quiet"),
    ]


@pytest.mark.parametrize("states", [("ACTIVE", "READY"), ("FAILED", ""), ("", "PREEMPTED")])
def test_create_touches_nothing_that_exists(cloud, states):
    queue_and_node(cloud, states)
    done = cloud.tpu_vm("create")
    assert done.returncode == 2
    assert "exists already in us-central2-b" in done.stderr
    assert cloud.calls() == LOOK


def test_create_without_an_answer_creates_nothing(cloud):
    cloud.on("queued-resources list", OFFLINE)
    done = cloud.tpu_vm("create")
    assert done.returncode == 1
    assert "nothing was created" in done.stderr
    assert cloud.changes() == []


def test_a_failed_create_leaves_nothing(cloud):
    queue_and_node(cloud, ("", ""), ("FAILED", ""), ("", ""))
    cloud.on("queued-resources create", STOCKOUT)
    cloud.on("queued-resources delete")
    done = cloud.tpu_vm("create")
    assert done.returncode == 1
    assert "no more capacity" in done.stderr
    assert "nothing named mashjax is left" in done.stderr
    assert cloud.changes() == ["create", "delete"]


def test_a_failed_create_says_what_it_could_not_delete(cloud):
    queue_and_node(cloud, ("", ""), ("ACTIVE", "CREATING"))
    cloud.on("queued-resources create", STOCKOUT)
    cloud.on("delete", Reply(err="ERROR: permission denied", code=1))
    done = cloud.tpu_vm("create")
    assert done.returncode == 1
    assert "still there: queued resource mashjax: ACTIVE, TPU machine mashjax: CREATING" in (
        done.stderr
    )
    assert STOP in done.stderr
    assert cloud.changes() == ["create", "delete", "delete"]  # the queue fails, then the node


@pytest.mark.parametrize("end", ["FAILED", "SUSPENDED"])
def test_a_request_that_fails_in_the_queue_is_deleted(cloud, end):
    queue_and_node(cloud, ("", ""), ("PROVISIONING", ""), (end, ""), (end, ""), ("", ""))
    cloud.on("queued-resources create")
    cloud.on("queued-resources delete")
    done = cloud.tpu_vm("create")
    assert done.returncode == 1
    assert "will not come" in done.stderr
    assert cloud.changes() == ["create", "delete"]


def test_waiting_bears_a_fault_of_the_network_but_says_what_costs_when_it_gives_up(cloud):
    cloud.on("queued-resources list", "", OFFLINE, OFFLINE, "ACTIVE")
    cloud.on("tpu-vm list", "", "READY")
    cloud.on("queued-resources create")
    assert cloud.tpu_vm("create").returncode == 0

    cloud.forget()
    cloud.on("queued-resources list", "", OFFLINE)
    cloud.on("tpu-vm list", "")
    cloud.on("queued-resources create")
    done = cloud.tpu_vm("create")
    assert done.returncode == 1
    assert "stopped waiting for mashjax. It may cost money" in done.stderr
    assert STOP in done.stderr


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_says_what_costs(cloud, how, code):
    queue_and_node(cloud, ("", ""), ("WAITING_FOR_RESOURCES", ""))
    cloud.on("queued-resources create")
    with subprocess.Popen(
        # Whoever runs the tests may ignore the signal, and a shell cannot take that back.
        ["env", "--default-signal=INT,TERM", cloud.clone / "launch/tpu_vm.sh", "create"],
        stderr=subprocess.PIPE,
        text=True,
        env=cloud.environment(MASHJAX_POLL="1"),
        start_new_session=True,
    ) as running:
        lines = []
        for line in running.stderr:
            lines.append(line)
            if "WAITING_FOR_RESOURCES" in line:
                os.killpg(running.pid, how)
    assert running.returncode == code
    assert "stopped waiting for mashjax. It may cost money" in lines[-1]
    assert STOP in lines[-1]


# --- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "--name=my machine"], "--name=my machine is wrong"),
        (["create", "--name=$(reboot)"], "--name=$(reboot) is wrong"),
        (["create", "--name=Upper"], "--name=Upper is wrong"),
        (["create", "--name=x-"], "--name=x- is wrong"),
        (["create", "--name="], "--name is missing"),
        (["create", "--project="], "--project is missing"),
        (["create", "--zone="], "--zone is missing"),
        (["create", "--zone=us-central1"], "--zone=us-central1 is wrong"),
        (["create", "--type=v3-8"], "--type=v3-8 is wrong"),
        (["create", "--type=v4-9"], "must be divisible by 8"),
        (["create", "--type=v6e-12"], "must be 1, 4, 8"),
        (["create", "--via=magic"], "--via=magic is wrong"),
        (
            ["create", "--via=compute", "--type=v5litepod-8"],
            "--type=v5litepod-8 is not to be had via compute",
        ),
        (["create", "--via=compute", "--type=v4-8"], "not to be had via compute"),
        (["create", "--via=compute", "--type=v5p-24"], "say v5p-8, -16"),
        (["create", "--network=my net"], "--network=my net is wrong"),
        (["create", "--poll=soon"], "--poll=soon is wrong"),
        (["create", "--name", "x"], "what is --name? "),
        (["create", "--cheap"], "what is --cheap? "),
        (["destroy"], "what is destroy? "),
        (["train", "--bucket=my-bucket"], "--bucket=my-bucket is wrong"),
        (["train", "--bucket="], "--data is missing"),
        (["train", "--data=/home/me/store"], "--data=/home/me/store is wrong"),
        (["train", "--workdir=gs://b b/run"], "--workdir=gs://b b/run is wrong"),
        (["train", "--config=a b.py"], "--config=a b.py is wrong"),
        (["setup", "--config=configs/mine.py"], "--config=configs/mine.py is not in commit"),
        (["setup", "--commit=nothing"], "--commit names no commit"),
        (["setup", "--commit=--all"], "--commit names no commit"),
        (["setup", "--wheel=mashjax.whl"], "--wheel=mashjax.whl is not there"),
        (["babysit", "--recreations=-1"], "--recreations=-1 is wrong"),
    ],
)
def test_a_mistake_is_one_line_and_calls_nothing(cloud, arguments, message):
    done = cloud.tpu_vm(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert cloud.calls() == []


def test_help_names_every_command_and_flag(cloud):
    text = cloud.tpu_vm("--help").stdout
    settings = (cloud.clone / "launch/tpu/settings.sh").read_text()
    flags = re.findall(r"^      (--[a-z-]+)=?\*?\) ", settings, re.MULTILINE)
    assert len(flags) == 24
    for word in [*flags, "create", "setup", "train", "resume", "status", "logs", "delete"]:
        assert word in text


# --- setup, train, logs ---------------------------------------------------------------------


def test_setup_installs_the_commit_not_the_working_tree(cloud, machine_there):
    machine_there()
    cloud.on("scp", Reply(err="no sshd yet", code=255), "")
    cloud.on("ssh")
    config = cloud.clone / "configs/mashup.py"
    committed = config.read_text()
    try:
        config.write_text("# changed\n")
        done = cloud.tpu_vm("setup")
    finally:
        config.write_text(committed)
    assert done.returncode == 0
    assert "are not committed, and not installed" in done.stderr
    folder = cloud.home / ".cache/mashjax/launch"
    copy = ["compute", "tpus", "tpu-vm", "scp", f"{folder}/mashjax.tar.gz"]
    copy += [f"{folder}/mashjax_worker.sh", "mashjax:", *WHERE, "--worker=all", "--quiet"]
    ssh = ["compute", "tpus", "tpu-vm", "ssh", "mashjax", *WHERE, "--worker=all"]
    ssh += ["--command=bash mashjax_worker.sh setup", "--quiet"]
    assert cloud.calls() == [*LOOK, copy, copy, ssh]  # the first copy came too early
    with tarfile.open(folder / "mashjax.tar.gz") as archive:
        assert archive.extractfile("configs/mashup.py").read().decode() == committed
        assert "mashjax/__init__.py" in archive.getnames()


def test_setup_of_a_wheel_brings_the_config_along(cloud, machine_there, tmp_path):
    machine_there()
    cloud.on("scp")
    cloud.on("ssh")
    (tmp_path / "mashjax-1-py3-none-any.whl").write_text("a wheel")
    done = cloud.tpu_vm("setup", f"--wheel={tmp_path}/mashjax-1-py3-none-any.whl")
    assert done.returncode == 0
    with tarfile.open(cloud.home / ".cache/mashjax/launch/mashjax.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["configs/mashup.py", "mashjax-1-py3-none-any.whl"]


def test_setup_that_fails_says_what_costs(cloud, machine_there):
    machine_there()
    cloud.on("scp")
    cloud.on("ssh", Reply(code=1))
    done = cloud.tpu_vm("setup")
    assert done.returncode == 1
    assert "the setup failed, and can be repeated" in done.stderr
    assert STOP in done.stderr


@pytest.mark.parametrize(
    ("type_", "node", "distributed"),
    [
        ("v5litepod-8", "READY 1", []),
        ("v4-8", "READY 1", []),
        ("v4-16", "READY 2", ["--distributed"]),
        ("v5litepod-16", "READY 4", ["--distributed"]),
        ("v5litepod-16", "READY 1", []),  # the node knows better than we
    ],
)
def test_train_starts_on_every_worker(cloud, machine_there, type_, node, distributed):
    machine_there(node)
    cloud.on("ssh")
    awkward = '--config.note=it\'s a "note" with $HOME and `date`'
    done = cloud.tpu_vm("train", f"--type={type_}", "--", "--config.steps=7", awkward)
    assert done.returncode == 0
    call = cloud.calls()[-1]
    assert call[:8] == ["compute", "tpus", "tpu-vm", "ssh", "mashjax", *WHERE, "--worker=all"]
    remote = call[8].removeprefix("--command=")
    seen = subprocess.run(  # as the worker's shell reads it
        ["bash", "-c", f"bash() {{ printf '%s\\n' \"$@\"; }}; {remote}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.splitlines() == [
        *("mashjax_worker.sh", "start", "--config=configs/mashup.py"),
        *("--data=gs://my-bucket/store", "--workdir=gs://my-bucket/runs/mashjax"),
        *(*distributed, "--config.steps=7", awkward),
    ]


@pytest.mark.parametrize("command", ["setup", "train", "logs"])
@pytest.mark.parametrize(
    ("states", "message"),
    [
        (("", ""), "there is no machine named mashjax in us-central2-b via queued"),
        (("PROVISIONING", ""), "is not there yet (queued resource mashjax: PROVISIONING)"),
        (("SUSPENDED", "PREEMPTED"), "was taken away"),
    ],
)
def test_what_needs_a_machine_says_why_there_is_none(cloud, command, states, message):
    queue_and_node(cloud, states)
    done = cloud.tpu_vm(command)
    assert done.returncode == 2
    assert message in done.stderr
    assert cloud.changes() == []


def test_logs(cloud, machine_there):
    machine_there()
    cloud.on("ssh", "step 1\nstep 2")
    done = cloud.tpu_vm("logs", "--worker=3", "--lines=2", "--follow", "--internal-ip")
    assert done.stdout == "step 1\nstep 2\n"
    assert cloud.calls()[-1] == [
        *("compute", "tpus", "tpu-vm", "ssh", "mashjax", *WHERE, "--worker=3"),
        *("--command=bash mashjax_worker.sh log 2 --follow", "--quiet", "--internal-ip"),
    ]


def test_the_environment_says_the_same_as_flags(cloud):
    by_flags = cloud.tpu_vm("resume", "--dry-run", "--type=v6e-16", "--spot", "--name=x")
    by_environment = cloud.tpu_vm(
        "resume", "--dry-run", MASHJAX_TYPE="v6e-16", MASHJAX_SPOT="yes", MASHJAX_NAME="x"
    )
    assert by_flags.stdout == by_environment.stdout
    assert "--accelerator-type=v6e-16" in by_flags.stdout


# --- status ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "costs"),
    [
        (("", ""), "nothing named mashjax"),
        (("WAITING_FOR_RESOURCES", ""), "nothing named mashjax"),
        (("SUSPENDED", "PREEMPTED"), "nothing named mashjax"),
        (("PROVISIONING", "CREATING"), "TPU machine mashjax"),
        (("", "STOPPED"), "TPU machine mashjax"),
        (("ACTIVE", "REPAIRING"), "TPU machine mashjax"),
    ],
)
def test_status_says_what_costs(cloud, states, costs):
    queue_and_node(cloud, states)
    done = cloud.tpu_vm("status", "--via=queued")
    assert done.returncode == 0
    assert f"costs money now: {costs}" in done.stdout
    assert (STOP in done.stdout) == costs.startswith("TPU machine")


def test_status_looks_at_both_ways_and_at_the_training(cloud, machine_there):
    machine_there()
    cloud.on("ssh", "mashjax-training: running\nmashjax-training: stopped")
    cloud.on("instance-groups managed list", "")
    cloud.on("instance-templates list", "mashjax")
    cloud.on("resource-policies list", "")
    cloud.on("disks list", "mashjax-1a2b")
    done = cloud.tpu_vm("status")
    assert done.stdout.splitlines() == [
        "queued resource mashjax: ACTIVE",
        "TPU machine mashjax: READY",
        "mashjax-training: running",
        "mashjax-training: stopped",
        "instance template mashjax",
        "disk without a machine: mashjax-1a2b",
        f"costs money now: TPU machine mashjax, disk mashjax-1a2b. {STOP}",
    ]


def test_status_never_takes_silence_for_nothing(cloud):
    queue_and_node(cloud, ("", ""))
    cloud.on("compute", Reply(err="ERROR: the API is disabled", code=1))
    done = cloud.tpu_vm("status")
    assert done.returncode == 1
    assert "costs money now" not in done.stdout
    assert "what is there via compute is not known" in done.stderr


# --- delete ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "deleted"),
    [
        (("ACTIVE", "READY"), ["queued-resources delete mashjax --force"]),
        (("WAITING_FOR_RESOURCES", ""), ["queued-resources delete mashjax --force"]),
        (("SUSPENDED", "PREEMPTED"), ["queued-resources delete mashjax --force"]),
        (("", "READY"), ["tpu-vm delete mashjax"]),
        (("", ""), []),
    ],
)
def test_delete_takes_whatever_there_is(cloud, states, deleted):
    queue_and_node(cloud, states, ("", ""))
    cloud.on("delete")
    done = cloud.tpu_vm("delete", "--via=queued")
    assert done.returncode == 0
    assert "nothing named mashjax is left in us-central2-b" in done.stderr
    said = [call[2:] for call in cloud.calls() if "delete" in call]
    assert [
        " ".join(word for word in call if word not in (*WHERE, "--quiet")) for call in said
    ] == deleted
    assert cloud.calls()[-2:] == LOOK  # it has looked again


def test_delete_that_leaves_something_says_so(cloud):
    queue_and_node(cloud, ("ACTIVE", "READY"), ("", "READY"))
    cloud.on("delete")
    done = cloud.tpu_vm("delete", "--via=queued")
    assert done.returncode == 1
    assert "still there: TPU machine mashjax: READY" in done.stderr
    assert STOP in done.stderr


@pytest.mark.parametrize("broken", ["queued-resources list", "tpu-vm list", "delete"])
def test_delete_never_says_done_after_a_fault(cloud, broken):
    cloud.on(broken, OFFLINE, "")
    queue_and_node(cloud, ("ACTIVE", "READY"), ("", ""))
    cloud.on("delete")
    done = cloud.tpu_vm("delete", "--via=queued")
    assert done.returncode == 1
    assert "not everything was deleted" in done.stderr
    assert "is left" not in done.stderr


def test_delete_without_via_takes_both(cloud):
    queue_and_node(cloud, ("ACTIVE", "READY"), ("", ""))
    cloud.on("managed list-instances", "mashjax-1a2b RUNNING")
    cloud.on("managed list", "mashjax", "")
    cloud.on("instance-templates list", "mashjax", "")
    cloud.on("resource-policies list", "mashjax", "")
    cloud.on("disks list", "")
    cloud.on("delete")
    done = cloud.tpu_vm("delete")
    assert done.returncode == 0
    assert [call[1:4] for call in cloud.calls() if "delete" in call] == [
        ["tpus", "queued-resources", "delete"],
        ["instance-groups", "managed", "delete"],
        ["instance-templates", "delete", "mashjax"],
        ["resource-policies", "delete", "mashjax"],
    ]


# --- resume ---------------------------------------------------------------------------------


def test_resume_rents_again_what_was_taken_away(cloud):
    queue_and_node(
        cloud,
        ("SUSPENDED", "PREEMPTED"),
        ("SUSPENDED", "PREEMPTED"),
        ("", ""),
        ("ACTIVE", "READY"),
    )
    for pattern in ("create", "delete", "scp", "ssh"):
        cloud.on(pattern)
    done = cloud.tpu_vm("resume", "--spot")
    assert done.returncode == 0
    assert cloud.changes() == ["delete", "create", "scp", "ssh setup", "ssh start"]


def test_resume_uses_the_machine_that_is_there(cloud, machine_there):
    machine_there()
    cloud.on("scp")
    cloud.on("ssh")
    assert cloud.tpu_vm("resume").returncode == 0
    assert cloud.changes() == ["scp", "ssh setup", "ssh start"]


# --- dry runs -------------------------------------------------------------------------------

COMMANDS = ["create", "setup", "train", "resume", "status", "logs", "delete", "babysit"]


@pytest.mark.parametrize("via", ["queued", "direct", "compute"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_dry_run_runs_nothing(cloud, command, via):
    done = cloud.tpu_vm(command, "--dry-run", "--type=v6e-16", f"--via={via}")
    assert done.returncode == 0
    assert cloud.calls() == []
    assert list(cloud.home.iterdir()) == []
    lines = done.stdout.splitlines()
    assert lines
    assert {shlex.split(line)[0] for line in lines} <= {"gcloud", "git", "mkdir", "cp"}


def test_a_dry_run_prints_what_a_run_calls(cloud):
    arguments = ["--type=v4-16", "--spot", "--via=queued", "--", "--config.note=it's"]
    printed = cloud.tpu_vm("babysit", "--dry-run", *arguments).stdout.splitlines()
    queue_and_node(
        cloud,
        *(("", ""), ("ACTIVE", "READY"), ("ACTIVE", "READY"), ("ACTIVE", "READY"), ("", "")),
    )
    cloud.on("create")
    cloud.on("delete")
    cloud.on("scp")
    report = "mashjax-training: {0}\nmashjax-training: {0}"
    cloud.on("worker.sh state", report.format("none"), report.format("done"))
    cloud.on("ssh")
    done = cloud.tpu_vm("babysit", *arguments)
    assert done.returncode == 0, done.stderr
    words = [shlex.split(line) for line in printed]
    expected = [line[1:] for line in words if line[0] == "gcloud"]
    assert cloud.calls() == [*expected, *LOOK]  # after a deletion, it looks whether it is true
