"""What somebody would write with boto3 in an afternoon: the six checks of six.yml over every service's task definition.

Prints which task definitions fail which check, as JSON.
"""

import json

import boto3

NAMES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA"}
CHECKS = {
    "ecs-3": lambda definition: definition.get("pidMode") == "host",
    "ecs-4": lambda definition: any(one.get("privileged") for one in definition["containerDefinitions"]),
    "ecs-5": lambda definition: any(not one.get("readonlyRootFilesystem") for one in definition["containerDefinitions"]),
    "ecs-8": lambda definition: any(
        variable["name"] in NAMES for one in definition["containerDefinitions"] for variable in one.get("environment", [])
    ),
    "ecs-9": lambda definition: any(not one.get("logConfiguration") for one in definition["containerDefinitions"]),
    "ecs-17": lambda definition: definition.get("networkMode") == "host",
}


def main():
    ecs = boto3.client("ecs")
    revisions = set()
    for page in ecs.get_paginator("list_clusters").paginate():
        for cluster in page["clusterArns"]:
            arns = []
            for services in ecs.get_paginator("list_services").paginate(
                cluster=cluster, PaginationConfig={"PageSize": 100}
            ):
                arns += services["serviceArns"]
            for start in range(0, len(arns), 10):
                found = ecs.describe_services(cluster=cluster, services=arns[start : start + 10], include=["TAGS"])
                revisions |= {one["taskDefinition"] for one in found["services"] if "taskDefinition" in one}
    failing = {name: [] for name in CHECKS}
    for arn in sorted(revisions):
        definition = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])["taskDefinition"]
        for name, fails in CHECKS.items():
            if fails(definition):
                failing[name].append(arn)
    print(json.dumps(failing))


main()
