"""The fleet benchmark: what plimsoll costs, and what others cost, on the same simulated endpoint. `make bench` runs it.

Sizes and parts come from the environment (benches/README.md); the table goes to stdout, and with every figure behind it
into target/bench.
"""

import datetime
import json
import os
import shutil
import sys

import calls
import peers
from endpoint import Endpoint, total
from plimsoll import Plimsoll

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("BENCH_BINARY", os.path.join(ROOT, "target", "release", "plimsoll"))
POLICIES = os.path.join(ROOT, "policies", "security-hub")
RESULTS = os.path.join(ROOT, "target", "bench")

# As a register input: with what ECS adds, an answer of DescribeTaskDefinition has some 6 KB.
DOCUMENT_BYTES = 5300


# Not ECS: everybody asks STS once for the account, and Prowler asks other services about it.
OTHERS = {"GetCallerIdentity", "(not modelled)"}


def numbers(name, default):
    """A list of numbers from the environment."""
    return [int(text) for text in os.environ.get(name, default).split(",") if text]


def folder(*names):
    """An empty one."""
    path = os.path.join(RESULTS, "work", *names)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def machine():
    """What it was measured on."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f} at the start, {datetime.date.today()}"


class Table:
    """Lines for people, as they come."""

    def __init__(self):
        os.makedirs(RESULTS, exist_ok=True)
        self.lines = []

    def line(self, text=""):
        print(text, flush=True)
        self.lines.append(text)

    def head(self, title):
        self.line()
        self.line(title)
        names = ["calls", "formula", "throttled", "CPU s", "peak MiB", "wall s", "endpoint CPU s", "CPU, ratio"]
        self.line(f"  {'':<34}" + "".join(f"{name:>15}" for name in names))

    def row(self, name, cost, formula=None, base=None):
        asked = cost["asked"]
        ecs = total({name: count for name, count in asked.items() if name not in OTHERS})
        expected = f"{sum(formula.values()):,}" if formula else ""
        ratio = f"{cost['cpu'] / base['cpu']:.1f}" if base and base["cpu"] else ""
        cells = [f"{ecs:,}", expected, total(asked, "throttled"), f"{cost['cpu']:.2f}", f"{cost['peak'] / 1024:.0f}"]
        cells += [f"{cost['wall']:.1f}", f"{cost['endpoint']:.2f}", ratio]
        self.line(f"  {name:<34}" + "".join(f"{cell:>15}" for cell in cells))
        for operation in sorted({*formula, *asked} - OTHERS) if formula else ():
            found, count = asked.get(operation, {"calls": 0})["calls"], formula.get(operation, 0)
            if found != count:
                self.line(f"    {operation}: {found:,} calls, {count:,} by the formula")

    def keep(self, figures):
        """Writes what there is so far."""
        with open(os.path.join(RESULTS, "fleet.txt"), "w") as file:
            file.write("\n".join(self.lines) + "\n")
        with open(os.path.join(RESULTS, "fleet.json"), "w") as file:
            json.dump(figures, file, indent=1)


def mean(passes):
    """The mean cost of several passes that asked alike."""
    first = passes[0]
    means = {key: sum(one[key] for one in passes) / len(passes) for key in ("cpu", "wall", "endpoint")}
    return {**first, **means, "peak": max(one["peak"] for one in passes)}


def unthrottled(table, size, others, react):
    """Everything at one size, with nothing but the CPU in the way."""
    work = folder(str(size))
    endpoint = Endpoint(BINARY, work, size, DOCUMENT_BYTES)
    try:
        services, revisions = endpoint.fleet()
        cold, warm = calls.cold(services, revisions), calls.warm(services)
        tool = Plimsoll(BINARY, POLICIES, work, endpoint)
        plan = tool.plan()
        described = plan["asked"]["DescribeTaskDefinition"]
        each = described["bytes"] / described["calls"]
        table.head(f"{size:,} services in {len(services)} clusters, {revisions:,} revisions of {each:,.0f} bytes")
        table.row("plimsoll plan", plan, cold)
        first, others_of_it, restarted = tool.standing(warm=3)
        table.row("plimsoll controller, cold pass", first, cold, plan)
        table.row("  warm pass, mean of 3", mean(others_of_it), warm, plan)
        table.row("  first pass after a restart", restarted, warm, plan)
        figures = {"plan": plan, "cold": first, "warm": others_of_it, "restarted": restarted}
        found = os.path.join(work, "plan.json")
        tool.plan(stdout=found)
        for name in others:
            cost, what = peers.measure(name, endpoint, folder(str(size), name))
            table.row(name, cost, base=plan)
            table.line(f"    {peers.agreement(found, what)}")
            figures[name] = cost
        if react:
            figures["reactions"] = tool.reactions()
            judged, planned, edit = (figures["reactions"][name] for name in ("judged", "planned", "edit"))
            table.line(f"  a new violating service is judged after {judged:.1f} s and proposed to after {planned:.1f} s")
            table.line(f"  a policy edit has its first UpdateService after {edit:.1f} s")
        figures["endpoint"] = {"setup": endpoint.setup, "peak": endpoint.child.look()}
        table.line(f"  the endpoint itself: {endpoint.child.look() / 1024:.0f} MiB, {endpoint.setup:.1f} CPU s to set up")
        return figures
    finally:
        endpoint.child.stop()


def throttled(table, size, others):
    """A cold look in real time, with ECS's buckets in the way."""
    work = folder(f"{size}-throttled")
    asked_of = Endpoint(BINARY, work, size, DOCUMENT_BYTES)
    services, revisions = asked_of.fleet()
    asked_of.child.stop()
    figures = {}
    for name in ["plimsoll", *others]:
        # Each its own: what one has taken from the buckets, the next would lack.
        endpoint = Endpoint(BINARY, folder(f"{size}-throttled", name), size, DOCUMENT_BYTES, throttle=True)
        try:
            figures[name] = through(table, endpoint, name, services, revisions)
        finally:
            endpoint.child.stop()
    return figures


def through(table, endpoint, name, services, revisions):
    """One client through the buckets."""
    work = os.path.dirname(endpoint.child.log)
    if name != "plimsoll":
        cost, what = peers.measure(name, endpoint, os.path.join(work, "out"))
        table.row(name, cost)
        table.line(f"    {peers.evaluated(what)}")
        return cost
    formula = calls.cold(services, revisions)
    tool = Plimsoll(BINARY, POLICIES, work, endpoint, within_budget=True)
    cost = tool.plan()
    bound = calls.bound(formula, 50)
    table.head(f"{sum(services):,} services, ECS's buckets in real time, a share of 50 % (plimsoll) or all of it (others)")
    table.row("plimsoll plan", cost, formula)
    table.line(f"    the bound of half the buckets is {bound:.1f} s: it took {cost['wall'] / bound:.2f} of it")
    return {**cost, "bound": bound}


def main():
    if not os.path.exists(BINARY):
        sys.exit(f"{BINARY} is not there: cargo build --release --locked")
    sizes, slow = numbers("BENCH_SERVICES", "100,1000"), numbers("BENCH_THROTTLED", "100")
    wanted = [name for name in os.environ.get("BENCH_PEERS", "plain,c7n-1,c7n-6,prowler").split(",") if name]
    most, react = numbers("BENCH_PEERS_MOST", "1000")[0], numbers("BENCH_REACT", "1000")
    table, figures = Table(), {"machine": machine()}
    table.line(figures["machine"])
    for name in wanted:
        table.line(f"  {name}: {peers.version(name)}")
    for size in sizes:
        figures[str(size)] = unthrottled(table, size, wanted if size <= most else [], size in react)
        table.keep(figures)
    for size in slow:
        figures[f"{size}-throttled"] = throttled(table, size, wanted if size <= most else [])
        table.keep(figures)


main()
