"""Tests of the webhook's chart, and of what `countersign inject` prints."""

import copy
import json
import subprocess
import tempfile
from pathlib import Path

import helm_python as helm
import yaml
from objects import look, ours, restricted, validator, versions
from rendering import CHARTS, PROGRAM, ROOT, Strict, chart, configuration, lay, load, render, secret

CHART = CHARTS / "countersign-webhook"
MANIFESTS = ROOT / "tests/fixtures/inject"
# Kinds of cert-manager: crds.mjs looks at them.
CUSTOM = {"Certificate", "Issuer"}


def webhook(row):
    """All objects of a row of webhook.yaml, by kind and name."""
    values = lay(row.get("values", {}), yaml.safe_load((CHART / "values.yaml").read_text()))
    chart(CHART).validate_schema(values)
    objects = {}
    for path, text in chart(CHART).render(values, name="hook", namespace="prod").items():
        if not path.endswith(".txt"):
            for one in yaml.load_all(text, Loader=Strict):
                if one:
                    objects[f"{one['kind']} {one['metadata']['name']}"] = one
    # The release's name is the chart's when it contains it: here it does not.
    return {key.replace("hook-countersign-webhook", "hook"): json.loads(json.dumps(one).replace("hook-countersign-webhook", "hook")) for key, one in objects.items()}


def custom():
    """The custom resources of webhook.yaml."""
    return [one for row in load("webhook.yaml") if "refused" not in row for one in webhook(row).values() if one["kind"] in CUSTOM]


def starts(arguments):
    """Whether the program serves with these flags."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("tls.crt", "tls.key"):
            Path(place, name).write_bytes(secret(name))
        arguments = [one.replace("/tls/", f"{place}/").replace("0.0.0.0:8443", "127.0.0.1:0") for one in arguments]
        process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            return json.loads(line)["event"] if line else process.stderr.read()
        finally:
            process.kill()
            process.communicate()


def test_webhook():
    """webhook.yaml, row by row."""
    report = helm.lint(CHART, {}, strict=True)
    assert not report["errors"] and all(one["severity"] < 2 for one in report["messages"]), report
    looked = 0
    seen = {}
    for row in load("webhook.yaml"):
        name = row["name"]
        looked += 1
        if "refused" in row:
            try:
                webhook(row)
            except helm.HelmError as error:
                assert row["refused"] in str(error), f"{name}: {error}"
            else:
                raise AssertionError(f"{name}: taken")
            continue
        objects = webhook(row)
        for key in row.get("has", []):
            assert key in objects, f"{name}: no {key} among {sorted(objects)}"
        for key in row.get("lacks", []):
            assert key not in objects, f"{name}: {key}"
        for path, wanted in row.get("see", {}).items():
            found = look(objects, path)
            assert found == wanted, f"{name}: {path} is {found!r}, not {wanted!r}"
        fits(name, objects)
        for key, one in objects.items():
            if one["kind"] not in CUSTOM:
                seen.setdefault(json.dumps(one, sort_keys=True), f"{name}: {key}")
    valid([(where, json.loads(text)) for text, where in seen.items()])
    known = set(json.loads((CHART / "values.schema.json").read_text())["properties"])
    given = set(yaml.safe_load((CHART / "values.yaml").read_text()))
    assert known - given == {"global"} and given <= known, known ^ given
    assert "unexpected" in starts(["webhook", "--certificate=/tls/tls.crt", "--key=/tls/tls.key", "--sidecars=native"])
    return looked


def fits(name, objects):
    """What names one another fits together."""
    (deployment,) = [one for one in objects.values() if one["kind"] == "Deployment"]
    (service,) = [one for one in objects.values() if one["kind"] == "Service"]
    (configuration,) = [one for one in objects.values() if one["kind"] == "MutatingWebhookConfiguration"]
    template = deployment["spec"]["template"]
    wrong = list(restricted(template["spec"]))
    assert not wrong, f"{name}: {wrong}"
    ours(template["spec"])
    (container,) = template["spec"]["containers"]
    assert starts(container["args"]) == "webhook.started", f"{name}: {container['args']}"
    port = container["ports"][0]["containerPort"]
    assert f"--listen=0.0.0.0:{port}" in container["args"]
    assert [one["targetPort"] for one in service["spec"]["ports"]] == [port]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items(), name
    for one in configuration["webhooks"]:
        called = one["clientConfig"]["service"]
        assert (called["name"], called["namespace"]) == (service["metadata"]["name"], service["metadata"]["namespace"])
        assert called["port"] == service["spec"]["ports"][0]["port"] and called["path"] in ("/inject", "/inject/all")
        assert one["sideEffects"] == "None" and one["admissionReviewVersions"] == ["v1"]
        assert [rule["operations"] for rule in one["rules"]] == [["CREATE"]]
        assert {condition["name"] for condition in one["matchConditions"]} == {"wanted", "elsewhere"}
    (volume,) = template["spec"]["volumes"]
    for one in objects.values():
        if one["kind"] == "NetworkPolicy":
            assert [rule["port"] for part in one["spec"]["ingress"] for rule in part["ports"]] == [port]
            assert one["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        if one["kind"] == "Certificate" and not one["spec"].get("isCA"):
            assert one["spec"]["secretName"] == volume["secret"]["secretName"]
            assert f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc" in one["spec"]["dnsNames"]


def valid(documents):
    for version in versions():
        for where, one in documents:
            wrong = next(validator(version, one["kind"], one["apiVersion"]).iter_errors(one), None)
            assert wrong is None, f"{where}, Kubernetes {version}: {wrong}"


def items(text, loader=Strict):
    """The objects of a text, of Lists as well; read as kubectl reads them (PyYAML is a reader of YAML 1.1)."""
    for one in yaml.load_all(text, Loader=loader):
        if one:
            yield from one["items"] if one["kind"] == "List" else [one]


def template(one):
    """Where pods are described in an object."""
    if one["kind"] == "Pod":
        return one
    spec = one["spec"]["jobTemplate"] if one["kind"] == "CronJob" else one
    return spec["spec"]["template"]


def test_inject():
    """What inject prints: valid for every Kubernetes version, and its container is `restricted`."""
    documents = []
    injected = 0
    for path in sorted(MANIFESTS.glob("*.out.*")):
        # Inputs merge keys.
        before = list(items(path.with_name(path.name.replace(".out.", ".")).read_text(), yaml.SafeLoader))
        after = list(items(path.read_text()))
        kept = [one for one in after if any(one["kind"] == other["kind"] and one["metadata"] == other["metadata"] for other in before)]
        assert len(kept) >= len(before) - 1, f"{path.name}: objects are gone"
        for one in after:
            where = f"{path.name}: {one['kind']} {one['metadata'].get('name')}"
            documents.append((where, one))
            if one["kind"] in ("ConfigMap", "Service", "NetworkPolicy"):
                continue
            spec = template(one)["spec"]
            proxies = [other for other in spec.get("initContainers", []) + spec["containers"] if other["name"] == "countersign"]
            if proxies:
                injected += 1
                wrong = list(restricted({"containers": proxies, "volumes": spec["volumes"]}))
                assert not wrong, f"{where}: {wrong}"
                ours({"containers": proxies})
        for one in before:
            # Values that YAML 1.1 and 1.2 take for different ones come through as kubectl takes them.
            if one["kind"] not in ("Service", "NetworkPolicy", "ConfigMap"):
                same = next(other for other in after if other["kind"] == one["kind"] and other["metadata"].get("name") == one["metadata"].get("name"))
                old, new = template(one)["spec"], template(same)["spec"]
                assert [volume for volume in new.get("volumes", []) if not volume["name"].startswith("countersign-")] == old.get("volumes", []), path.name
                assert template(one)["metadata"].items() <= template(same)["metadata"].items() if "annotations" not in template(same).get("metadata", {}) else True
    valid(documents)
    bad = copy.deepcopy(next(one for where, one in documents if one["kind"] == "Deployment"))
    bad["spec"]["template"]["spec"]["initContainers"][0]["imagePullPolice"] = "Always"
    assert all(list(validator(version, "Deployment", "apps/v1").iter_errors(bad)) for version in versions())
    assert injected >= 7, injected
    return len(documents) * len(versions())


def stripped(deployment):
    """A Deployment of the charts without the proxy."""
    bare = copy.deepcopy(deployment)
    pod = bare["spec"]["template"]
    del pod["metadata"]["annotations"]["countersign.dev/restart"]
    spec = pod["spec"]
    del spec["terminationGracePeriodSeconds"]
    for key in ("initContainers", "containers"):
        spec[key] = [one for one in spec.get(key) or [] if one["name"] != "countersign"]
    spec["volumes"] = [one for one in spec["volumes"] if not one["name"].startswith("countersign-")]
    for one in spec["containers"]:
        one.pop("lifecycle", None)
    return bare


def plain(one):
    """Without what means nothing: lists and mappings that are empty, or null."""
    if isinstance(one, dict):
        return {key: plain(value) for key, value in one.items() if value not in (None, {}, [])}
    return [plain(value) for value in one] if isinstance(one, list) else one


def test_agreement():
    """A Deployment that inject makes is, to the last value, the one that the library chart renders."""
    rows = [
        ("smartem", {}, []),
        ("smartem", {"native": False}, ["--sidecar", "classic"]),
        ("smartem", {"kubeVersion": "1.29.4"}, ["--kube-version", "1.29.4"]),
        ("smartem", {"termination": {"appSleepSeconds": 9}, "config": {"drain": {"delay": "500ms", "deadline": "1m30s"}}}, ["--app-sleep", "9"]),
        ("smartem", {"mounts": [{"name": "tls", "secret": "web-tls"}, {"name": "idp", "token": {"audience": "https://id.example.org"}}]},
         ["--secret", "tls=web-tls", "--token", "idp=https://id.example.org"]),
        ("smartem", {"tokenReview": {"enabled": True}}, ["--token-review"]),
        ("smartem", {"image": {"repository": "registry.example.org/countersign", "tag": "7", "pullPolicy": "Always"}},
         ["--image", "registry.example.org/countersign:7", "--image-pull-policy", "Always"]),
        ("smartem", {"resources": {"requests": {"cpu": "100m", "memory": "48Mi"}, "limits": {"memory": "96Mi"}}},
         ["--cpu", "100m", "--memory", "48Mi", "--memory-limit", "96Mi"]),
        ("smartem", {"config": {"inbound": [{"name": "public_and_a_long_name", "listen": "0.0.0.0:8443", "upstream": "http://127.0.0.1:8000"},
                                            {"name": "local", "listen": "127.0.0.1:8081", "upstream": "http://127.0.0.1:8000"}]},
                     "service": {"ports": [{"name": "http", "port": 80, "inbound": "public_and_a_long_name"}]}}, []),
        ("atlas", {}, ["--app-port", "4000"]),
    ]
    for of, values, flags in rows:
        config_map, workload, deployment, data = made(of, values, flags)
        assert config_map["data"] == data, f"{of} {values}: {config_map}"
        assert workload == deployment, f"{of} {values}:\n{json.dumps(workload, indent=1)}\n{json.dumps(deployment, indent=1)}"
    # The positive twin: another value is another Deployment.
    _, workload, deployment, _ = made("smartem", {}, ["--cpu", "51m"])
    assert workload != deployment
    return len(rows)


def made(of, values, flags):
    """What inject makes of a Deployment whose proxy was taken off, and what the chart had made."""
    objects = render({"of": of, "values": values})
    (deployment,) = [one for one in objects.values() if one["kind"] == "Deployment"]
    (name,) = [one["metadata"]["name"] for one in objects.values() if "countersign.yaml" in (one.get("data") or {})]
    data = configuration(objects)
    with tempfile.TemporaryDirectory() as place:
        files = []
        for file, text in data.items():
            Path(place, file).write_text(text)
            files += ["--config" if file == "countersign.yaml" else "--file", f"{place}/{file}"]
        command = [PROGRAM, "inject", "--config-map", name, *files, *flags]
        done = subprocess.run(command, input=yaml.safe_dump(stripped(deployment)), capture_output=True, text=True)
    assert done.returncode == 0, f"{of} {values}: {done.stderr}"
    config_map, workload = items(done.stdout)
    return config_map, plain(workload), plain(deployment), data
