"""babysit: machines that are taken away come back, a bounded number of times."""

import pytest

from .conftest import Cloud, Reply

GONE = ("SUSPENDED", "PREEMPTED")
READY = ("ACTIVE", "READY")
NONE = ("", "")


def babysit(cloud: Cloud, *arguments: str, looks, training=("done",)):
    """Look after look, states of queue and node; report after report, that of one worker."""
    cloud.on("queued-resources list", *(queue for queue, _ in looks))
    cloud.on("tpu-vm list", *(node for _, node in looks))
    for pattern in ("create", "delete", "scp"):
        cloud.on(pattern)
    replies = [f"mashjax-training: {one}" if isinstance(one, str) else one for one in training]
    cloud.on("worker.sh state", *replies)
    cloud.on("worker.sh log", "the last lines")
    cloud.on("ssh")
    return cloud.tpu_vm("babysit", "--spot", *arguments)


TRAIN = ["scp", "ssh setup", "ssh start"]


def test_a_finished_training_ends_it_and_the_machine_goes(cloud):
    done = babysit(cloud, looks=[READY, READY, NONE])
    assert done.returncode == 0
    assert cloud.changes() == ["delete"]
    assert "the training is done: gs://my-bucket/runs/mashjax" in done.stderr
    assert "may cost" not in done.stderr


def test_keep_leaves_the_machine_and_says_so(cloud):
    done = babysit(cloud, "--keep", looks=[READY])
    assert done.returncode == 0
    assert cloud.changes() == []
    assert "mashjax was kept. It may cost money" in done.stderr


def test_it_begins_with_nothing(cloud):
    looks = [NONE, ("WAITING_FOR_RESOURCES", ""), READY, READY, READY, READY, NONE]
    done = babysit(cloud, looks=looks, training=["none", "running", "done"])
    assert done.returncode == 0
    assert cloud.changes() == ["create", *TRAIN, "delete"]
    assert "attempt" not in done.stderr  # the first renting is none


def test_two_preemptions(cloud):
    away = [GONE, GONE, NONE]  # seen, seen again by the deletion, and then deleted
    looks = [NONE, READY, *away, READY, READY, *away, READY, READY, READY, NONE]
    training = ["none", "none", "running", "none", "done"]
    done = babysit(cloud, looks=looks, training=training)
    assert done.returncode == 0
    again = ["delete", "create", *TRAIN]
    assert cloud.changes() == ["create", *TRAIN, *again, *again, "delete"]
    assert "attempt 2 of 20" in done.stderr
    assert "attempt 3 of 20" not in done.stderr


def test_the_number_of_machines_is_bounded(cloud):
    # Each machine is gone before it could train; what is deleted is there again at once.
    looks = [NONE, *([GONE, GONE, NONE] * 3), GONE, GONE, NONE]
    done = babysit(cloud, "--recreations=3", looks=looks)
    assert done.returncode == 1
    assert cloud.changes().count("create") == 4  # the first, and three more
    assert cloud.changes()[-1] == "delete"
    assert "--recreations=3 is used up" in done.stderr
    assert "nothing named mashjax is left" in done.stderr


def test_no_recreation_at_all(cloud):
    done = babysit(cloud, "--recreations=0", looks=[GONE, GONE, NONE])
    assert done.returncode == 1
    assert cloud.changes() == ["delete"]


def test_a_create_that_fails_is_an_attempt(cloud):
    cloud.on("queued-resources create", Reply(err="no capacity", code=1))
    done = babysit(cloud, "--recreations=2", looks=[NONE])
    assert done.returncode == 1
    assert cloud.changes() == ["create"] * 3
    assert done.stderr.count("no capacity") == 3


def test_a_training_that_fails_is_not_paid_for_again(cloud):
    done = babysit(cloud, looks=[READY, READY, READY, NONE], training=["failed 1"])
    assert done.returncode == 1
    assert cloud.changes() == ["ssh log", "delete"]
    assert done.stdout == "the last lines\n"
    assert "the training failed" in done.stderr


def test_a_training_that_dies_with_its_machine_goes_on(cloud):
    looks = [READY, GONE, GONE, GONE, NONE, READY, READY, NONE]
    done = babysit(cloud, looks=looks, training=["failed 134", "done"])
    assert done.returncode == 0
    assert cloud.changes() == ["delete", "create", "delete"]


def test_a_stopped_training_starts_again_a_bounded_number_of_times(cloud):
    done = babysit(cloud, "--recreations=2", looks=[READY], training=["stopped"])
    assert done.returncode == 1
    assert cloud.changes() == [*TRAIN, *TRAIN, "delete"]


def test_a_setup_that_fails_is_an_attempt(cloud):
    cloud.on("worker.sh setup", Reply(code=1), "")
    looks = [READY, READY, READY, READY, NONE]
    done = babysit(cloud, looks=looks, training=["none", "none", "done"])
    assert done.returncode == 0
    assert cloud.changes() == ["scp", "ssh setup", *TRAIN, "delete"]
    assert "the training could not be started: attempt 1 of 20" in done.stderr


@pytest.mark.parametrize("silence", [Reply(code=255), "mashjax-training: running"])
def test_silent_workers_are_borne_for_a_while_only(cloud, silence):
    # Of the two workers of a v4-16 at most one answers.
    done = babysit(cloud, "--type=v4-16", looks=[READY], training=[silence])
    assert done.returncode == 1
    assert "do not answer any more" in done.stderr
    assert len([call for call in cloud.calls() if "ssh" in call]) == 10


@pytest.mark.parametrize(
    ("reports", "changes"),
    [
        (["running", "done"], None),
        (["done", "done"], ["delete"]),
        (["failed 1", "running"], ["ssh log", "delete"]),
        (["none", "running"], None),
        (["none", "done"], [*TRAIN, "delete"]),
    ],
)
def test_the_workers_are_one_training(cloud, reports, changes):
    together = "\n".join(f"mashjax-training: {one}" for one in reports)
    end = "mashjax-training: done\nmashjax-training: done"
    done = babysit(cloud, "--type=v4-16", looks=[READY], training=[Reply(together), Reply(end)])
    assert cloud.changes() == (changes or ["delete"])
    assert done.returncode == 1  # READY to the end: the deletion does not help


def test_a_cloud_that_never_answers_ends_it_with_a_warning(cloud):
    cloud.on("queued-resources list", Reply(err="ERROR: gcloud is offline", code=1))
    done = cloud.tpu_vm("babysit")
    assert done.returncode == 1
    assert "nobody looks after mashjax any more. It may cost money" in done.stderr
