"""What a user would pick instead, each as one process against the endpoint. benches/peers installs them, pinned."""

import glob
import json
import os
import subprocess

from endpoint import difference
from process import Child

HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers")
INSTALLED = os.path.join(os.path.dirname(os.path.dirname(HERE)), "target", "bench", "peers")


# Prowler's checks, and the control each asks about. The last two ask something else than Security Hub does.
PROWLER = {
    "ecs_task_definitions_host_namespace_not_shared": "ecs-3",
    "ecs_task_definitions_no_privileged_containers": "ecs-4",
    "ecs_task_definitions_containers_readonly_access": "ecs-5",
    "ecs_task_definitions_logging_enabled": "ecs-9",
    "ecs_task_definitions_no_environment_secrets": None,
    "ecs_task_definitions_host_networking_mode_users": None,
}


def _python(name, *rest):
    return os.path.join(INSTALLED, name, "bin", *rest)


def _command(name, out):
    if name == "plain":
        return [_python("c7n", "python"), os.path.join(HERE, "plain.py")]
    if name == "prowler":
        command = [_python("prowler", "prowler"), "aws", "--region", "eu-west-1", "--checks", *PROWLER]
        return command + ["--output-formats", "json-ocsf", "--output-directory", out, "--output-filename", "prowler"]
    policies = os.path.join(HERE, "six.yml")
    only = ["-p", "ecs-3"] if name == "c7n-1" else []
    return [_python("c7n", "custodian"), "run", "-s", out, "--cache-period", "0", "--region", "eu-west-1", *only, policies]


def version(name):
    """As pip says it is installed."""
    package, where = {"plain": ("boto3", "c7n"), "prowler": ("prowler", "prowler")}.get(name, ("c7n", "c7n"))
    asked = f"import importlib.metadata as m; print('{package}', m.version('{package}'))"
    return subprocess.run([_python(where, "python"), "-c", asked], capture_output=True, text=True, check=True).stdout.strip()


def measure(name, endpoint, work):
    """Runs it once. What it cost, and which task definitions it found wrong, by check."""
    os.makedirs(work, exist_ok=True)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": work,
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "sim",
        "AWS_SECRET_ACCESS_KEY": "sim",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    out = os.path.join(work, "stdout")
    before, cpu = endpoint.counts(), endpoint.child.cpu()
    child = Child(_command(name, work), environment, os.path.join(work, "log"), out)
    # Prowler says 3 where anything is found.
    cost = child.wait(allowed=(0, 3))
    asked = difference(endpoint.counts(), before)
    return {**cost, "asked": asked, "endpoint": endpoint.child.cpu() - cpu}, _found(name, work, out)


def _found(name, work, out):
    if name == "plain":
        with open(out) as file:
            return {check: set(arns) for check, arns in json.load(file).items()}
    if name == "prowler":
        return _of_prowler(work)
    found = {}
    for path in glob.glob(os.path.join(work, "ecs-*", "resources.json")):
        with open(path) as file:
            found[os.path.basename(os.path.dirname(path))] = {one["taskDefinitionArn"] for one in json.load(file)}
    return found


def _of_prowler(work):
    with open(os.path.join(work, "prowler.ocsf.json")) as file:
        findings = json.load(file)
    found = {control: set() for control in PROWLER.values() if control}
    for one in findings:
        control = PROWLER.get(one["metadata"]["event_code"])
        if control and one["status_code"] == "FAIL":
            found[control].add(one["resources"][0]["uid"])
    return found


def agreement(plan, found):
    """Whether it finds of what services run the same as plimsoll does, check by check."""
    with open(plan) as file:
        services = json.load(file)["services"]
    runs = {one["taskDefinition"] for one in services if one["taskDefinition"]}
    ours = {check: set() for check in found}
    for one in services:
        for finding in one["findings"]:
            check = finding["policy"].removeprefix("security-hub-")
            if check in ours:
                ours[check].add(one["taskDefinition"])
    differ = [f"{check} {len(found[check] & runs)} and {len(ours[check])}" for check in ours if found[check] & runs != ours[check]]
    counted = sum(len(arns) for arns in ours.values())
    if differ:
        return "finds another than plimsoll: " + ", ".join(differ)
    return f"finds the same {counted:,} violations of {len(ours)} checks in what services run"


def evaluated(found):
    """How many violations it found, for runs that may have skipped some."""
    return f"{sum(len(arns) for arns in found.values()):,} violations of {len(found)} checks found"
