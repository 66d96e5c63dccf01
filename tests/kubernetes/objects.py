"""What must hold for rendered objects: the schemas of Kubernetes, `restricted`, and that they fit together."""

import re
from functools import cache

import kubernetes_validate.utils as schemas
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from rendering import configuration

@cache
def definitions(version):
    return Resource.from_contents(schemas.schema_contents(f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version))


@cache
def validator(version, kind, api):
    """What `kubernetes_validate.validate` does, but made once for each kind."""
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api)
    schema = schemas.schema_contents(f"kubernetes-json-schema/v{version}-local-strict/{kind.lower()}-{group}.json", version)
    return Draft202012Validator(schema, registry=definitions(version) @ (Resource.from_contents(schema) @ Registry()))


def versions():
    # It names each twice, strict and not.
    found = [one for one in dict.fromkeys(schemas.all_versions()) if tuple(map(int, one.split(".")[:2])) >= (1, 29)]
    assert found[0] == "1.29.0" and len(found) >= 9, found
    return found


def look(objects, path):
    """What stands at `Kind.path`, or `config.path`; `absent` where nothing does."""
    kind, *rest = path.split(".")
    if kind == "config":
        here = yaml.safe_load(configuration(objects)["countersign.yaml"])
    else:
        here = objects[min((key for key in objects if key.startswith(kind + " ")), key=len)]
    # Keys of labels have dots, too.
    for key in re.findall(r"[^.]+", ".".join(rest)):
        if isinstance(here, list):
            here = here[int(key)] if int(key) < len(here) else "absent"
        elif isinstance(here, dict):
            here = here.get(key, "absent")
        else:
            return "absent"
    return here


def pods(objects):
    for key, one in objects.items():
        if one["kind"] == "Pod":
            yield key, one["spec"]
        elif one["kind"] == "Deployment":
            yield key, one["spec"]["template"]["spec"]


def restricted(spec):
    """What the Pod Security Standard `restricted` finds wrong with a pod."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for volume in spec.get("volumes") or []:
        if not set(volume) - {"name"} <= allowed:
            yield f"volume {volume}"
    pod = spec.get("securityContext", {})
    for container in (spec.get("initContainers") or []) + spec["containers"]:
        own = container.get("securityContext", {})
        name = container["name"]
        if own.get("privileged"):
            yield f"{name}: privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
            yield f"{name}: capabilities"
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"{name}: runAsNonRoot"
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"{name}: runAsUser"
        if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccompProfile"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: hostPort"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if "host" in container.get(probe, {}).get("httpGet", {}):
                yield f"{name}: {probe} names a host"


def ours(spec):
    """What holds for our own containers beyond `restricted`."""
    for container in (spec.get("initContainers") or []) + spec["containers"]:
        if "countersign" in container["image"].split("/")[-1]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True and own["runAsUser"] == own["runAsGroup"] == 65532, own
            assert "cpu" not in container["resources"]["limits"] and "memory" in container["resources"]["limits"], container["resources"]
            assert "cpu" in container["resources"]["requests"], container["resources"]


def consistent(name, objects):
    """What names one another fits together."""
    deployment = next(one for one in objects.values() if one["kind"] == "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    spec = deployment["spec"]["template"]["spec"]
    containers = (spec.get("initContainers") or []) + spec["containers"]
    proxy = next(one for one in containers if one["name"] == "countersign")
    ports = {one["containerPort"] for one in proxy["ports"]}
    config = yaml.safe_load(configuration(objects)["countersign.yaml"])
    inbound = config.get("inbound", [])
    inbound = inbound if isinstance(inbound, list) else [inbound]
    listening = {int(one["listen"].rsplit(":", 1)[1]) for one in inbound if not one["listen"].startswith("127.")}
    assert ports == listening | {int(config["probes"]["listen"].rsplit(":", 1)[1])}, f"{name}: {ports}"
    selected = labels | {"app": "smartem"} if name == "names and labels" else labels
    for one in objects.values():
        spec = one.get("spec", {})
        if one["kind"] == "Service":
            assert spec["selector"].items() <= selected.items(), f"{name}: {one['metadata']['name']} selects other pods"
            assert {port["targetPort"] for port in spec["ports"]} <= ports, f"{name}: {spec['ports']}"
        if one["kind"] == "NetworkPolicy":
            assert spec["podSelector"]["matchLabels"].items() <= selected.items(), name
            let = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
            assert let == ports, f"{name}: the NetworkPolicy lets in {let}, the proxy listens on {ports}"
            assert all(rule.get("ports") for rule in spec["ingress"]), f"{name}: a rule without ports"
        if one["kind"] == "ServiceMonitor":
            services = [other for other in objects.values() if other["kind"] == "Service"]
            (found,) = [other for other in services if spec["selector"]["matchLabels"].items() <= other["metadata"].get("labels", {}).items()]
            assert spec["endpoints"][0]["port"] in {port["name"] for port in found["spec"]["ports"]}
        if one["kind"] == "PodMonitor":
            assert spec["selector"]["matchLabels"].items() <= selected.items(), name
            assert spec["podMetricsEndpoints"][0]["port"] in {port["name"] for port in proxy["ports"]}
        if one["kind"] == "Pod":
            # Neither the Service nor the NetworkPolicy takes the test for one of the application's pods.
            policy = next((other for other in objects.values() if other["kind"] == "NetworkPolicy"), None)
            if policy:
                assert not policy["spec"]["podSelector"]["matchLabels"].items() <= one["metadata"]["labels"].items(), name
    drain = config.get("drain", {})
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > sum(map(seconds, drain.values())), name


def seconds(duration):
    factors = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(number) * factors[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h|d)", duration))
