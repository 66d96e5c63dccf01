"""Reads a CycloneDX 1.6 document from standard input; fails when the schema does not allow it."""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
if fault:
    sys.exit(str(fault).splitlines()[0])
print("valid")
