"""How many calls a pass takes, and how long ECS's buckets make it at least. Knows no process and no endpoint.

`python3 calls.py SERVICES,SERVICES… REVISIONS` prints the calls of a cold pass, for tests: services of each cluster.
"""

import json
import math
import sys

# Burst and refill a second, by category, and whose calls they are (ECS Developer Guide, request-throttling).
BUCKETS = {
    "cluster read": (50, 20, ["ListClusters", "DescribeClusters"]),
    "service read": (100, 20, ["ListServices", "DescribeServices"]),
    "capacity provider read": (50, 20, ["DescribeCapacityProviders"]),
    "task definition read": (50, 20, ["DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies"]),
}


def cold(services, revisions):
    """Calls by operation; `services` of each cluster, `revisions` that differ."""
    clusters = len(services)
    return {
        "ListClusters": max(1, math.ceil(clusters / 100)),
        "DescribeClusters": math.ceil(clusters / 100),
        # A cluster without services takes a call to say so.
        "ListServices": sum(max(1, math.ceil(count / 100)) for count in services),
        "DescribeServices": sum(math.ceil(count / 10) for count in services),
        "DescribeTaskDefinition": revisions,
        # One page, asked for because a policy of the Security Hub set (ECS.19) is about them.
        "DescribeCapacityProviders": 1,
    }


def warm(services):
    """The same for a pass over a fleet that has not changed: no revision is described."""
    return {name: count for name, count in cold(services, 0).items() if count}


def bound(calls, percent):
    """Seconds that the calls take at least within `percent` of the published rates."""
    share = percent / 100
    slowest = 0.0
    for burst, refill, operations in BUCKETS.values():
        asked = sum(calls.get(operation, 0) for operation in operations)
        slowest = max(slowest, (asked - burst * share) / (refill * share))
    return slowest


if __name__ == "__main__":
    print(json.dumps(cold([int(count) for count in sys.argv[1].split(",")], int(sys.argv[2]))))
