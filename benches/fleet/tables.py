"""Makes what `src/model/packed/tables.rs` has: zstd's tables of how often what occurs in ECS's JSON.

Run by hand, with `zstandard` 0.25 (PyPI) and a binary that serves the generated fleet:

    python3 benches/fleet/tables.py target/release/plimsoll

No two runs make quite the same, for the fleet has times of day in it, and any of them will do: nothing that is packed
outlives the process that packed it.
"""

import json
import struct
import sys
import tempfile

import zstandard
from endpoint import Endpoint

SERVICES = 1200
REVISIONS, SHOWN = 200, 300


def samples(endpoint):
    """Answers as they are kept: of DescribeTaskDefinition, and services without their events."""
    fleet = [service for services in endpoint.services() for service in services]
    named = sorted({service["taskDefinition"] for service in fleet if "taskDefinition" in service})
    some = named[:: len(named) // REVISIONS]
    answers = [endpoint.call("DescribeTaskDefinition", taskDefinition=arn, include=["TAGS"]) for arn in some]
    services = [{name: value for name, value in one.items() if name != "events"} for one in fleet[:: len(fleet) // SHOWN]]
    return [json.dumps(one, separators=(",", ":")).encode() for one in answers + services]


def tables(dictionary, texts):
    """A dictionary but for its content: what is before the first that is found in a text."""
    at = next(at for at in range(12, len(dictionary)) if any(dictionary[at : at + 24] in text for text in texts))
    # The last that is no content: the offsets to try first (RFC 8878, section 5).
    assert dictionary[at - 12 : at] == struct.pack("<III", 1, 4, 8), "the content begins somewhere else"
    # Without its number, which every frame would name.
    return dictionary[:4] + bytes(4) + dictionary[8:at]


def main():
    with tempfile.TemporaryDirectory() as folder:
        endpoint = Endpoint(sys.argv[1], folder, SERVICES, 5300)
        try:
            texts = samples(endpoint)
        finally:
            endpoint.child.stop()
    made = tables(zstandard.train_dictionary(8 * 1024, texts).as_bytes(), texts)
    print(len(made))
    for at in range(0, len(made), 16):
        print(" ".join(f"0x{byte:02x}," for byte in made[at : at + 16]))


if __name__ == "__main__":
    main()
