"""Holds the configuration's JSON Schema to JSON Schema, and documents to it.

Reads {"schema": …, "documents": {name: document}} from standard input; prints one line for each problem, and fails if there is one.
Every example and default in the schema is validated against the very key that it stands at.
"""

import json
import sys

from jsonschema import Draft202012Validator

given = json.load(sys.stdin)
schema = given["schema"]
Draft202012Validator.check_schema(schema)
problems = []


def validate(at, value, against):
    for error in Draft202012Validator(against).iter_errors(value):
        problems.append(f"{at}: {error.message}")


blocks = {"": schema, **schema["$defs"]}
for block, described in blocks.items():
    for key, own in described.get("properties", {}).items():
        against = {**own, "$defs": schema["$defs"]}
        for example in own["examples"]:
            validate(f"example of {block}.{key}", example, against)
        if "default" in own:
            validate(f"default of {block}.{key}", own["default"], against)
for name, document in given["documents"].items():
    validate(name, document, schema)
print("\n".join(problems))
sys.exit(1 if problems else 0)
