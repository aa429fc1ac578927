"""What others read in the templates under deploy/. Answers JSON on standard output.

    resolve FILE           a CloudFormation template with the parameters on standard input (a JSON object; `AWS::Region`,
                           `Resource` and `Resource.Attribute` too): parameters, conditions and functions are gone
    terraform FILE...      Terraform's files as one JSON object
    stack FILE ENDPOINT    makes a stack there, with the parameters on standard input, and tells the types of what it has
"""

import json
import pathlib
import re
import sys


def loader():
    import yaml

    class Loader(yaml.SafeLoader):
        """CloudFormation's short forms become its long ones."""

    def function(loader, suffix, node):
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        if suffix == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}

    Loader.add_multi_constructor("!", function)
    return Loader


NOTHING = object()


class Template:
    def __init__(self, path, given):
        import yaml

        text = pathlib.Path(path).read_text(encoding="utf-8")
        # CloudFormation has no aliases; a reader that knows them would hide that.
        if re.search(r"(?m)^[^#\"']*: [&*]\w", text):
            raise ValueError(f"{path} has YAML aliases, which CloudFormation does not read")
        self.document = yaml.load(text, loader())
        defaults = {
            name: parameter["Default"]
            for name, parameter in self.document.get("Parameters", {}).items()
            if "Default" in parameter
        }
        self.given = {**defaults, **given}
        self.conditions = {}

    def condition(self, name):
        if name not in self.conditions:
            self.conditions[name] = self.resolve(self.document["Conditions"][name])
        return self.conditions[name]

    def named(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        if name in self.given:
            return self.given[name]
        raise KeyError(f"nobody says what `{name}` is")

    def resolve(self, node):
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self.named(argument)
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if name.startswith("Fn::"):
                return getattr(self, "fn_" + name[4:].lower())(argument)
        resolved = {key: self.resolve(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not NOTHING}

    def fn_getatt(self, argument):
        return self.named(".".join(argument))

    def fn_sub(self, argument):
        return re.sub(r"\$\{([^}]+)\}", lambda found: str(self.named(found[1])), argument)

    def fn_if(self, argument):
        condition, then, otherwise = argument
        return self.resolve(then if self.condition(condition) else otherwise)

    def fn_equals(self, argument):
        one, other = self.resolve(argument)
        return str(one) == str(other)

    def fn_not(self, argument):
        return not self.resolve(argument)[0]

    def fn_join(self, argument):
        by, parts = self.resolve(argument)
        return by.join(str(part) for part in parts)

    def fn_split(self, argument):
        by, text = self.resolve(argument)
        return text.split(by)

    def whole(self):
        resources = {
            name: {key: value for key, value in self.resolve(resource).items() if key != "Condition"}
            for name, resource in self.document["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }
        rules = self.resolve(self.document.get("Rules", {}))
        return {"AWSTemplateFormatVersion": "2010-09-09", "Rules": rules, "Resources": resources}


def resolve(path):
    return Template(path, json.load(sys.stdin)).whole()


def terraform(*paths):
    import hcl2

    def plain(value):
        if isinstance(value, dict):
            return {plain(key): plain(one) for key, one in value.items() if not key.startswith("__")}
        if isinstance(value, list):
            return [plain(one) for one in value]
        # The parser keeps the quotes of what is text, and writes expressions as ${...}.
        return json.loads(value) if isinstance(value, str) and value.startswith('"') and value.endswith('"') else value

    found = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for kind, blocks in hcl2.load(file).items():
                found.setdefault(kind, []).extend(plain(blocks))
    return found


def stack(path, endpoint):
    import boto3

    parameters = [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in json.load(sys.stdin).items()]
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-west-1"}
    cloudformation = boto3.client("cloudformation", endpoint_url=endpoint, **keys)
    text = pathlib.Path(path).read_text(encoding="utf-8")
    cloudformation.create_stack(StackName="plimsoll", TemplateBody=text, Parameters=parameters)
    resources = cloudformation.describe_stack_resources(StackName="plimsoll")["StackResources"]
    # Those that moto does not know have no type.
    return sorted(resource["ResourceType"] for resource in resources if "ResourceType" in resource)


if __name__ == "__main__":
    print(json.dumps({"resolve": resolve, "terraform": terraform, "stack": stack}[sys.argv[1]](*sys.argv[2:])))
