"""The real binary against an endpoint: one run of `plan`, a controller's passes, and how soon it reacts."""

import json
import os
import time

from endpoint import difference, total
from process import Child

# The whole Security Hub set, which only audits.
AUDIT = """
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: bench-audit }
spec: { labels: { framework: security-hub }, enforcement: audit }
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: bench-newcomers }
spec:
  policies: [security-hub-ecs-3]
  scope: { include: { services: ["bench-newcomer"] } }
  enforcement: propose
  strategy: bench
---
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: { name: bench }
spec: { waves: [{ size: 1 }, { size: rest }], maxAffected: "100%", health: { steadyFor: 5s } }
"""

# The edit: hosts' process namespaces are to be left, everywhere.
ENFORCE = """
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: bench-edit }
spec:
  policies: [security-hub-ecs-3]
  scope: { exclude: { services: ["bench-newcomer"] } }
  enforcement: enforce
  strategy: bench-edit
---
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: { name: bench-edit }
spec: { waves: [{ size: 1 }, { size: rest }], maxAffected: "100%", health: { steadyFor: 5s } }
"""

# So long nothing moves once a pass is over. Long enough for a process that had no turn on a busy machine.
QUIET = 3.0


class Plimsoll:
    """The binary with a store of its own."""

    def __init__(self, binary, policies, folder, endpoint, within_budget=False):
        self.binary, self.folder, self.endpoint = binary, folder, endpoint
        self.log = os.path.join(folder, "plimsoll.log")
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": folder,
            "AWS_ENDPOINT_URL": endpoint.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "sim",
            "AWS_SECRET_ACCESS_KEY": "sim",
            "PLIMSOLL_STORE": f"file:{folder}/plimsoll.db",
        }
        if not within_budget:
            self.environment["PLIMSOLL_BUDGET"] = "off"
        self.run("store", "init")
        self.apply("audit.yaml", AUDIT, policies)

    def run(self, *arguments, allowed=(0,), stdout=None):
        """Runs to its end."""
        return Child([self.binary, *arguments], self.environment, self.log, stdout).wait(allowed)

    def apply(self, name, text, *more):
        """Applies objects, without the forecast that reads the fleet."""
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        files = [argument for one in (path, *more) for argument in ("-f", one)]
        return self.run("apply", "-o", "name", *files)

    def plan(self, stdout=None):
        """One look at the whole fleet: cold, nothing kept."""
        before, cpu = self.endpoint.counts(), self.endpoint.child.cpu()
        cost = self.run("plan", "-o", "json" if stdout else "name", allowed=(0, 1), stdout=stdout)
        return self._measured(cost, before, cpu)

    def _measured(self, cost, before, cpu):
        asked = difference(self.endpoint.counts(), before)
        return {**cost, "asked": asked, "endpoint": self.endpoint.child.cpu() - cpu}

    def controller(self, *arguments):
        """A controller that goes on until it is stopped."""
        command = [self.binary, "controller", "--standalone", "0s", *arguments]
        return Child(command, self.environment, self.log)

    def passes(self, controller, count):
        """The next `count` full passes, each from its first call until nothing moves any more."""
        found = []
        for _ in range(count):
            before, cpu, endpoint_cpu = self.endpoint.counts(), controller.cpu(), self.endpoint.child.cpu()
            while total(difference(self.endpoint.counts(), before)) == 0:
                self._alive(controller)
                time.sleep(0.02)
            began = time.time()
            moved, last, calls = began, controller.cpu(), None
            while time.time() - moved < QUIET:
                time.sleep(0.1)
                self._alive(controller)
                controller.look()
                now, asked = controller.cpu(), total(difference(self.endpoint.counts(), before))
                # A process that only waits is given a tick now and then.
                if asked != calls or now - last > 0.011:
                    moved, last, calls = time.time(), now, asked
            cost = {"cpu": controller.cpu() - cpu, "wall": moved - began, "peak": controller.look()}
            found.append(self._measured(cost, before, endpoint_cpu))
        return found

    def _alive(self, controller):
        if controller.poll():
            raise SystemExit(f"the controller ended; see {self.log}")

    def standing(self, warm):
        """A cold pass, `warm` passes over an unchanged fleet, and the first pass after a restart."""
        arguments = ["--resync", "15s", "--poll", "15s", "--lease", "60s"]
        first = self.controller(*arguments)
        cold, *others = self.passes(first, 1 + warm)
        first.stop()
        again = self.controller(*arguments)
        restarted = self.passes(again, 1)[0]
        again.stop()
        return cold, others, restarted

    def reactions(self):
        """Seconds from a new violating service to its verdict and to its proposal, and from a policy edit to the first
        UpdateService.

        With the controller's own intervals: a look at the fleet every 60 s, at the policies every 10 s (a third of the
        lease). A proposal waits for the service's own first deployment to be done.
        """
        controller = self.controller()
        self.passes(controller, 1)
        created = self._newcomer()
        while self.run("describe", "service", "prod-a/bench-newcomer", allowed=(0, 1, 2))["code"] == 2:
            self._alive(controller)
            time.sleep(0.25)
        judged = time.time() - created
        while not self._rollouts():
            self._alive(controller)
            time.sleep(0.25)
        planned = time.time() - created
        self.apply("enforce.yaml", ENFORCE)
        edited = time.time()
        while "UpdateService" not in (counts := self.endpoint.counts()):
            self._alive(controller)
            time.sleep(0.05)
        updated = counts["UpdateService"]["first"] - edited
        controller.stop()
        return {"judged": judged, "planned": planned, "edit": updated, "peak": controller.peak}

    def _newcomer(self):
        container = {"name": "app", "image": "app:1.0.0", "memory": 128, "essential": True}
        document = {"family": "bench-newcomer", "pidMode": "host", "containerDefinitions": [container]}
        self.endpoint.call("RegisterTaskDefinition", **document)
        service = {"cluster": "prod-a", "serviceName": "bench-newcomer", "taskDefinition": "bench-newcomer:1"}
        self.endpoint.call("CreateService", **service, desiredCount=1, launchType="EC2")
        return time.time()

    def _rollouts(self):
        out = os.path.join(self.folder, "rollouts.json")
        self.run("rollout", "list", "-o", "json", stdout=out)
        with open(out) as file:
            return json.load(file).get("items")
