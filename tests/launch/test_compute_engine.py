"""Machines of Compute Engine: a template, a policy and a group, and none of them forgotten."""

import pytest

from .conftest import Cloud, Reply

PROJECT = "--project=my-project"
WHERE = [PROJECT, "--zone=us-central2-b"]
IMAGE = [
    "--maintenance-policy=TERMINATE",
    "--image-project=ubuntu-os-accelerator-images",
    "--image-family=ubuntu-accel-2204-amd64-tpu-v5e-v5p-v6e",
    "--boot-disk-size=50GB",
    "--scopes=cloud-platform",
    "--labels=program=mashjax",
    "--network=default",
]
RUNNING = "\n".join(f"mashjax-{end} RUNNING" for end in ("b2b2", "a1a1", "c3c3", "d4d4"))


def there(cloud: Cloud, *instances: str, parts=("group", "template", "policy")) -> None:
    """Everything is there at the first look and at all others; instances by look."""
    cloud.on("managed list-instances", *instances)
    for part, kind in (
        ("group", "managed list"),
        ("template", "instance-templates list"),
        ("policy", "resource-policies list"),
    ):
        cloud.on(kind, "mashjax" if part in parts else "")
    cloud.on("disks list", "")


def nothing_then(cloud: Cloud, *instances: str) -> None:
    """Nothing is there at the first look, everything at all others."""
    cloud.on("managed list-instances", *instances)
    for kind in ("managed list", "instance-templates list", "resource-policies list"):
        cloud.on(kind, "", "mashjax")
    cloud.on("disks list", "")


def made(cloud: Cloud, verb: str) -> list[list[str]]:
    return [call for call in cloud.calls() if verb in call]


def test_a_slice_is_a_template_a_policy_and_a_group(cloud):
    nothing_then(cloud, "mashjax-a1a1 ", RUNNING.replace("c3c3 RUNNING", "c3c3 STAGING"), RUNNING)
    cloud.on("create")
    done = cloud.tpu_vm("create", "--via=compute", "--type=v6e-16", "--spot")
    assert done.returncode == 0
    assert made(cloud, "create") == [
        [
            *("compute", "instance-templates", "create", "mashjax", PROJECT),
            *("--machine-type=ct6e-standard-4t", *IMAGE),
            *("--provisioning-model=SPOT", "--instance-termination-action=STOP", "--quiet"),
        ],
        [
            *("compute", "resource-policies", "create", "workload-policy", "mashjax", PROJECT),
            *("--region=us-central2", "--type=HIGH_THROUGHPUT", "--accelerator-topology=4x4"),
            "--quiet",
        ],
        [
            *("compute", "instance-groups", "managed", "create", "mashjax", *WHERE),
            *("--template=mashjax", "--size=4", "--default-action-on-vm-failure=do-nothing"),
            "--target-size-policy-mode=bulk",
            "--workload-policy=projects/my-project/regions/us-central2/resourcePolicies/mashjax",
            "--quiet",
        ],
    ]
    assert len(made(cloud, "list-instances")) == 3


def test_one_machine_needs_no_policy(cloud):
    nothing_then(cloud, "mashjax-a1a1 RUNNING")
    cloud.on("create")
    done = cloud.tpu_vm(
        "create", "--via=compute", "--type=v5p-8", "--internal-ip", "--subnetwork=sub"
    )
    assert done.returncode == 0
    template, group = made(cloud, "create")
    assert template[5:] == [
        *("--machine-type=ct5p-hightpu-4t", *IMAGE),
        *("--subnet=sub", "--region=us-central2", "--no-address", "--quiet"),
    ]
    assert group[4:] == [
        *("mashjax", *WHERE, "--template=mashjax", "--size=1"),
        *("--default-action-on-vm-failure=do-nothing", "--quiet"),
    ]


@pytest.mark.parametrize(
    ("type_", "machine", "topology", "size"),
    [
        ("v6e-1", "ct6e-standard-1t", None, 1),
        ("v6e-4", "ct6e-standard-4t", None, 1),
        ("v6e-8", "ct6e-standard-8t", None, 1),
        ("v6e-32", "ct6e-standard-4t", "4x8", 8),
        ("v6e-256", "ct6e-standard-4t", "16x16", 64),
        ("v5p-16", "ct5p-hightpu-4t", "2x2x2", 2),
        ("v5p-128", "ct5p-hightpu-4t", "4x4x4", 16),
    ],
)
def test_types(cloud, type_, machine, topology, size):
    text = cloud.tpu_vm("create", "--via=compute", f"--type={type_}", "--dry-run").stdout
    assert f"--machine-type={machine} " in text
    assert f"--size={size} " in text
    assert ("--accelerator-topology=" in text) == bool(topology)
    assert not topology or f"--accelerator-topology={topology} " in text
    chips = size * int(machine[-2])
    cores = 2 if type_.startswith("v5p") else 1  # v5p counts TensorCores
    assert int(type_.split("-")[1]) == chips * cores


@pytest.mark.parametrize("step", ["instance-templates", "resource-policies", "instance-groups"])
def test_a_create_that_fails_half_way_is_undone(cloud, step):
    done_before = {
        "instance-templates": [],
        "resource-policies": ["template"],
        "instance-groups": ["template", "policy"],
    }[step]
    cloud.on("managed list", "")
    cloud.on("instance-templates list", "", "mashjax" if "template" in done_before else "", "")
    cloud.on("resource-policies list", "", "mashjax" if "policy" in done_before else "", "")
    cloud.on("disks list", "")
    cloud.on(f"{step} create", Reply(err="ERROR: quota", code=1))
    cloud.on(f"{step} managed create", Reply(err="ERROR: quota", code=1))
    cloud.on("create")
    cloud.on("delete")
    done = cloud.tpu_vm("create", "--via=compute", "--type=v6e-16")
    assert done.returncode == 1
    assert [call[1] for call in made(cloud, "delete")] == [
        {"template": "instance-templates", "policy": "resource-policies"}[part]
        for part in done_before
    ]
    assert "nothing named mashjax is left" in done.stderr


@pytest.mark.parametrize("leftover", ["template", "policy"])
def test_a_leftover_is_no_nothing(cloud, leftover):
    there(cloud, parts=[leftover])
    done = cloud.tpu_vm("create", "--via=compute", "--type=v6e-16")
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert made(cloud, "create") == []


def test_delete_takes_the_group_first(cloud):
    there(cloud, RUNNING)
    cloud.on("delete")
    cloud.tpu_vm("delete", "--via=compute")
    assert made(cloud, "delete") == [
        ["compute", "instance-groups", "managed", "delete", "mashjax", *WHERE, "--quiet"],
        ["compute", "instance-templates", "delete", "mashjax", PROJECT, "--quiet"],
        [
            *("compute", "resource-policies", "delete", "mashjax", PROJECT),
            *("--region=us-central2", "--quiet"),
        ],
    ]


def test_delete_goes_on_after_a_fault(cloud):
    there(cloud, RUNNING)
    cloud.on("managed delete", Reply(err="ERROR: busy", code=1))
    cloud.on("delete")
    done = cloud.tpu_vm("delete", "--via=compute")
    assert done.returncode == 1
    assert len(made(cloud, "delete")) == 3
    assert "still there: instance group mashjax, machine mashjax-a1a1 RUNNING" in done.stderr


def test_all_machines_are_reached_and_numbered_by_name(cloud):
    there(cloud, RUNNING)
    cloud.on("scp")
    cloud.on("ssh")
    assert cloud.tpu_vm("setup", "--via=compute", "--type=v6e-16").returncode == 0
    folder = f"{cloud.home}/.cache/mashjax/launch"
    names = ["mashjax-a1a1", "mashjax-b2b2", "mashjax-c3c3", "mashjax-d4d4"]
    assert sorted(made(cloud, "scp")) == [  # all at once, in any order
        [
            *("compute", "scp", f"{folder}/mashjax.tar.gz", f"{folder}/mashjax_worker.sh"),
            *(f"{name}:", *WHERE, "--quiet"),
        ]
        for name in names
    ]
    assert sorted(made(cloud, "ssh")) == [
        ["compute", "ssh", name, *WHERE, "--command=bash mashjax_worker.sh setup", "--quiet"]
        for name in names
    ]
    cloud.tpu_vm("logs", "--via=compute", "--type=v6e-16", "--worker=2")
    assert made(cloud, "ssh")[-1][2] == "mashjax-c3c3"


def test_one_machine_that_fails_fails_all(cloud):
    there(cloud, RUNNING)
    cloud.on("scp")
    cloud.on("ssh mashjax-b2b2", Reply(err="ERROR: no disk", code=1))
    cloud.on("ssh")
    done = cloud.tpu_vm("setup", "--via=compute", "--type=v6e-16")
    assert done.returncode == 1
    assert len(made(cloud, "ssh")) == 4


def test_logs_of_a_worker_that_is_not_there(cloud):
    there(cloud, RUNNING)
    done = cloud.tpu_vm("logs", "--via=compute", "--type=v6e-16", "--worker=4")
    assert done.returncode == 1
    assert made(cloud, "ssh") == []


def test_babysit_replaces_a_slice_of_which_one_machine_was_taken(cloud):
    taken = RUNNING.replace("c3c3 RUNNING", "c3c3 TERMINATED")
    cloud.on("managed list-instances", RUNNING, taken, taken, RUNNING, RUNNING)
    for kind in ("managed list", "instance-templates list", "resource-policies list"):
        cloud.on(kind, "mashjax", "mashjax", "mashjax", "", "mashjax", "mashjax", "")
    cloud.on("disks list", "")
    for pattern in ("create", "delete"):
        cloud.on(pattern)
    cloud.on("worker.sh state", *["mashjax-training: running"] * 4, "mashjax-training: done")
    done = cloud.tpu_vm("babysit", "--via=compute", "--type=v6e-16", "--spot")
    assert done.returncode == 0, done.stderr
    assert cloud.changes() == [*["delete"] * 3, *["create"] * 3, *["delete"] * 3]
    assert "attempt 1 of 20" in done.stderr


def test_status_counts_stopped_machines_disks_and_all(cloud):
    there(cloud, "mashjax-a1a1 TERMINATED\nmashjax-b2b2 ")
    done = cloud.tpu_vm("status", "--via=compute", "--type=v6e-16")
    assert done.stdout.splitlines()[:5] == [
        "instance group mashjax",
        "  machine mashjax-a1a1 TERMINATED",
        "  machine mashjax-b2b2",
        "instance template mashjax",
        "workload policy mashjax",
    ]
    assert "costs money now: machine mashjax-a1a1, machine mashjax-b2b2." in done.stdout
