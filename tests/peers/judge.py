"""What others say of our formats. Reads standard input, answers JSON on standard output.

    schema SCHEMA          JSON documents, one a line: for each, what a JSON Schema validator has against it
    yaml SCHEMA FILE...    the same for the YAML documents of files
    patch                  {"document", "patch"}: what RFC 6902 makes of it, or {"error"}
    junit XSD              a JUnit report: what a schema validator has against it, and what a reader finds in it
"""

import json
import pathlib
import re
import sys


def validator(path):
    from jsonschema import FormatChecker
    from jsonschema.validators import validator_for
    from referencing import Registry, Resource

    def read(name):
        with open(name, encoding="utf-8") as file:
            return json.load(file)

    def beside(name):
        return Resource.from_contents(read(pathlib.Path(path).parent / name))

    schema = read(path)
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=FormatChecker(), registry=Registry(retrieve=beside))


def faults(validator, document):
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]


def schema(path):
    judge = validator(path)
    return [faults(judge, json.loads(line)) for line in sys.stdin if line.strip()]


def yaml(path, *names):
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2's scalars, as editors read them: no timestamps, and only `true` and `false`."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag.rsplit(":", 1)[-1] in ("null", "int", "float")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
    judge = validator(path)
    found = {}
    for name in names:
        with open(name, encoding="utf-8") as file:
            documents = [document for document in yaml.load_all(file, Loader) if document is not None]
        found[name] = [fault for document in documents for fault in faults(judge, document)]
    return found


def patch():
    import jsonpatch

    given = json.load(sys.stdin)
    try:
        return {"document": jsonpatch.apply_patch(given["document"], given["patch"])}
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def junit(path):
    import junitparser
    import xmlschema

    text = sys.stdin.buffer.read().decode()
    against = [str(error.reason) for error in xmlschema.XMLSchema(path).iter_errors(text)]

    def case(one):
        results = [
            {"kind": type(result).__name__, "type": result.type, "message": result.message, "text": result.text}
            for result in one.result
        ]
        return {"class": one.classname, "name": one.name, "results": results}

    def suite(one):
        return {
            "name": one.name,
            "counts": [one.tests, one.failures, one.errors, one.skipped],
            "properties": {each.name: each.value for each in one.properties()},
            "cases": [case(each) for each in one],
        }

    read = junitparser.JUnitXml.fromstring(text.encode())
    return {"faults": against, "suites": [suite(one) for one in read]}


if __name__ == "__main__":
    print(json.dumps({"schema": schema, "yaml": yaml, "patch": patch, "junit": junit}[sys.argv[1]](*sys.argv[2:])))
