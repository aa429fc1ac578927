"""The simulated endpoint: one process, its counts, and calls of our own to look at it or change it."""

import http.client
import json
import os
import time

from process import Child

TARGET = "AmazonEC2ContainerServiceV20141113."


class Endpoint:
    """`plimsoll sim` with so many services."""

    def __init__(self, binary, folder, services, document_bytes, throttle=False):
        command = [binary, "sim", "--listen", "127.0.0.1:0", "--services", str(services)]
        command += ["--document-bytes", str(document_bytes)] + (["--throttle"] if throttle else [])
        self.out = os.path.join(folder, "sim.out")
        self.child = Child(command, {"PATH": "/usr/bin:/bin"}, os.path.join(folder, "sim.log"), self.out)
        while not (url := open(self.out).read().strip()):
            if self.child.poll():
                raise SystemExit(f"the endpoint ended; see {folder}/sim.log")
            time.sleep(0.05)
        self.url = url
        self.address = url.removeprefix("http://")
        self.setup = self.child.cpu()

    def _ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.address, timeout=600)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)

    def counts(self):
        """What was asked so far, by operation."""
        return self._ask("GET", "/_plimsoll/calls")[1]["operations"]

    def call(self, operation, **members):
        """One call of ECS's API. It is counted like any other."""
        headers = {"X-Amz-Target": TARGET + operation, "Content-Type": "application/x-amz-json-1.1"}
        status, answer = self._ask("POST", "/", json.dumps(members), headers)
        if status != 200:
            raise SystemExit(f"{operation}: {answer}")
        return answer

    def services(self):
        """Each cluster's services, asked of the endpoint itself, not of plimsoll."""
        for cluster in self.call("ListClusters")["clusterArns"]:
            arns, more = [], {}
            while True:
                page = self.call("ListServices", cluster=cluster, maxResults=100, **more)
                arns += page["serviceArns"]
                if "nextToken" not in page:
                    break
                more = {"nextToken": page["nextToken"]}
            services = []
            for start in range(0, len(arns), 10):
                batch = arns[start : start + 10]
                services += self.call("DescribeServices", cluster=cluster, services=batch, include=["TAGS"])["services"]
            yield services

    def fleet(self):
        """How many services each cluster has, and how many revisions they run."""
        counts, revisions = [], set()
        for services in self.services():
            counts.append(len(services))
            for service in services:
                named = [service] + service.get("deployments", []) + service.get("taskSets", [])
                revisions |= {one["taskDefinition"] for one in named if "taskDefinition" in one}
        return counts, len(revisions)


def difference(after, before):
    """What was asked between two counts."""
    nothing = {"calls": 0, "throttled": 0, "refused": 0, "bytes": 0}
    between = {}
    for name, count in after.items():
        was = before.get(name, nothing)
        if count["calls"] > was["calls"]:
            between[name] = {key: count[key] - was[key] for key in nothing} | {"last": count["last"]}
    return between


def total(between, key="calls"):
    """Of all operations."""
    return sum(count[key] for count in between.values())
