#!/usr/bin/env python3
"""Tests of the charts, without a cluster: tests/kubernetes/charts.py TEST, with the program in COUNTERSIGN.

Run by tests/it/kubernetes.rs. Needs requirements.txt beside this file. Each test says `ok N` at the end, N being what it looked
at, or fails with words.
"""

import copy
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import helm_python as helm
import kubernetes_validate.utils as schemas
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHARTS = ROOT / "charts"
EXAMPLES = CHARTS / "examples"
PROGRAM = os.environ.get("COUNTERSIGN", str(ROOT / "target/debug/countersign"))
# What mounts hold in a cluster.
SECRETS = {
    "assertion.pem": (ROOT / "tests/fixtures/keys/es256-1.pem").read_bytes(),
    "client-secret": b"only for this test",
    "token": b"e30.e30.e30",
}
# Kinds that come with operators: no Kubernetes schema has them; crds.mjs looks at them.
CUSTOM = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "HTTPRoute"}


@cache
def secret(name):
    if name in SECRETS:
        return SECRETS[name]
    # tls.crt and tls.key, as cert-manager would bring them.
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "smartem.test")])
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    )
    SECRETS["tls.crt"] = certificate.public_bytes(serialization.Encoding.PEM)
    SECRETS["tls.key"] = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SECRETS[name]


class Strict(yaml.SafeLoader):
    """YAML without duplicate keys, as the API server wants it."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"duplicate keys: {keys}"
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def load(path):
    return yaml.safe_load((HERE / path).read_text())


@cache
def chart(folder):
    return helm.Chart.load(folder)


def folder(example):
    return CHARTS / "countersign" if example == "standalone" else EXAMPLES / "app"


def lay(over, under):
    """As Helm lays values over values: mappings merge, the rest replaces."""
    if not (isinstance(over, dict) and isinstance(under, dict)):
        return over
    merged = under | {key: lay(value, under[key]) if key in under else value for key, value in over.items()}
    return {key: value for key, value in merged.items() if value is not None}


def values_of(row):
    """The example's values, with the row's laid over."""
    values = yaml.safe_load((EXAMPLES / f"{row['of']}.yaml").read_text())
    sidecar = row["of"] != "standalone"
    own = values["countersign-sidecar"] if sidecar else values
    for key in row.get("drop", []):
        own.pop(key)
    own = lay(row.get("values", {}), own)
    if row.get("text"):
        # What the chart adds to a mapping, a text has to say itself.
        config = own.pop("config") | {"probes": {"listen": "0.0.0.0:9091", "serve": ["livez"]}}
        own["configText"] = "# as it is\n" + yaml.safe_dump(config) + "end: true\n"
    return values | {"countersign-sidecar": own} if sidecar else own


def render(row):
    """All objects of a row, by kind and name."""
    texts = chart(folder(row["of"])).render(values_of(row), name=row["of"], namespace="prod")
    objects = {}
    for path, text in texts.items():
        if path.endswith(".txt"):
            assert "Countersign stands before" in text, text
            continue
        for document in yaml.load_all(text, Loader=Strict):
            if document:
                key = f"{document['kind']} {document['metadata']['name']}"
                assert key not in objects, f"twice: {key}"
                objects[key] = document
    return objects


def configuration(objects):
    (found,) = [one for one in objects.values() if "countersign.yaml" in one.get("data", {})]
    return found["data"]


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
    found = [one for one in schemas.all_versions() if "strict" not in one and tuple(map(int, one.split(".")[:2])) >= (1, 29)]
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


def check(data, where):
    """`countersign check` on a configuration as it is mounted, with mounts that stand where they do not here."""
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        mounts = place / "run"
        text = data["countersign.yaml"]
        for path in set(re.findall(r"/run/countersign/[-\w]+/[-.\w]+", text)):
            here = mounts / path.removeprefix("/run/countersign/")
            here.parent.mkdir(parents=True, exist_ok=True)
            here.write_bytes(secret(here.name))
            here.chmod(0o400)
        text = text.replace("/run/countersign/", f"{mounts}/").replace("/var/lib/countersign/", f"{place}/")
        for name, content in (data | {"countersign.yaml": text}).items():
            (place / name).write_text(content)
        done = subprocess.run([PROGRAM, "check", place / "countersign.yaml"], capture_output=True, text=True)
        assert done.returncode == 0 and "warning" not in done.stderr, f"{where}: {done.stdout}{done.stderr}"


def test_lint():
    """`helm lint --strict` finds nothing, with every example's values and without."""
    looked = 0
    for path, values in [
        (CHARTS / "countersign-sidecar", {}),
        (CHARTS / "countersign", {}),
        *((folder(name), values_of({"of": name})) for name in examples()),
    ]:
        report = helm.lint(path, values, strict=True)
        worse = [one for one in report["messages"] if one["severity"] > 1] + report["errors"]
        assert not worse, f"{path}: {worse}"
        looked += 1
    # The positive twin: it does find.
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(CHARTS / "countersign", f"{place}/countersign")
        Path(place, "countersign/templates/bad.yaml").write_text("a: [")
        report = helm.lint(f"{place}/countersign", values_of({"of": "standalone"}), strict=True)
        assert report["errors"], report
    return looked


def examples():
    return sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def test_switches():
    """switches.yaml, row by row."""
    rows = load("switches.yaml")
    assert {row["name"] for row in rows} >= set(examples()), "each example stands in switches.yaml under its own name"
    seen = {}
    for row in rows:
        name = row["name"]
        objects = render(row)
        for key in row.get("has", []):
            assert key in objects, f"{name}: no {key} among {sorted(objects)}"
        for key in row.get("lacks", []):
            assert key not in objects, f"{name}: {key}"
        for path, wanted in row.get("see", {}).items():
            found = look(objects, path)
            assert found == wanted, f"{name}: {path} is {found!r}, not {wanted!r}"
        for key, spec in pods(objects):
            wrong = list(restricted(spec))
            assert not wrong, f"{name}: {key}: {wrong}"
            ours(spec)
        consistent(name, objects)
        for key, one in objects.items():
            seen.setdefault(json.dumps(one, sort_keys=True), f"{name}: {key}")
        check(configuration(objects), name)
    documents = [(where, json.loads(text)) for text, where in seen.items()]
    known = [(where, one) for where, one in documents if one["kind"] not in CUSTOM]
    for version in versions():
        for where, one in known:
            wrong = next(validator(version, one["kind"], one["apiVersion"]).iter_errors(one), None)
            assert wrong is None, f"{where}, Kubernetes {version}: {wrong}"
    # The positive twins of what found nothing.
    bad = copy.deepcopy(next(one for _, one in known if one["kind"] == "Deployment"))
    bad["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    assert all(list(validator(version, "Deployment", "apps/v1").iter_errors(bad)) for version in versions())
    assert list(restricted({"containers": [{"name": "x"}], "volumes": [{"name": "h", "hostPath": {"path": "/"}}]}))
    return len(rows) * len(versions())


def test_custom():
    """Prints what crds.mjs reads: every different custom resource of switches.yaml."""
    objects = (one for row in load("switches.yaml") for one in render(row).values() if one["kind"] in CUSTOM)
    different = {json.dumps(one, sort_keys=True) for one in objects}
    print(f"[{','.join(sorted(different))}]")
    return len(different)


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


def test_packages():
    """Packaged, a chart works without this repository; under two aliases, the library serves two Deployments of one chart."""
    with tempfile.TemporaryDirectory() as place:
        for path, example in ((CHARTS / "countersign", "standalone"), (EXAMPLES / "app", "smartem")):
            with helm.Chart.load(helm.package(path, destination=place)) as packed:
                assert packed.render(values_of({"of": example}), name="x") == chart(path).render(values_of({"of": example}), name="x"), path
        library = Path(place, "two/charts/countersign-sidecar")
        shutil.copytree(CHARTS / "countersign-sidecar", library)
        metadata = yaml.safe_load((EXAMPLES / "app/Chart.yaml").read_text())
        (dependency,) = metadata["dependencies"]
        metadata["dependencies"] = [dependency | {"alias": name, "repository": ""} for name in ("one", "two")]
        Path(place, "two/Chart.yaml").write_text(yaml.safe_dump(metadata))
        template = "\n---\n".join(
            f'{{{{ include "countersign-sidecar.{part}" (dict "context" $ "values" .Values.{name}) }}}}'
            for name in ("one", "two") for part in ("configMap", "networkPolicy", "test")
        )
        Path(place, "two/templates").mkdir()
        Path(place, "two/templates/all.yaml").write_text(template)
        smartem, atlas = (values_of({"of": name})["countersign-sidecar"] for name in ("smartem", "atlas"))
        with helm.Chart.load(f"{place}/two") as two:
            (text,) = two.render({"one": smartem | {"fullnameOverride": "one"}, "two": atlas | {"fullnameOverride": "two"}}, name="x").values()
        objects = [one for one in yaml.load_all(text, Loader=Strict) if one]
        assert [one["metadata"]["name"].split("-")[0] for one in objects] == ["one"] * 3 + ["two"] * 3, objects
        for at in (0, 3):
            check(objects[at]["data"], "under an alias")
    return 3


def test_refused():
    """refused.yaml, row by row: values that Helm does not take."""
    rows = load("refused.yaml")
    for row in rows:
        render({"of": row["of"]})
        try:
            values = values_of(row)
            chart(folder(row["of"])).validate_schema(values)
            render(row)
        except helm.HelmError as error:
            assert row["says"] in str(error), f"{row['why']}: {error}"
        else:
            raise AssertionError(f"{row['why']}: taken")
    return len(rows)


def test_examples():
    """The sidecar's examples are the configurations of config/, and the defaults of both charts do not drift apart."""
    for name in ("smartem", "atlas"):
        ours = values_of({"of": name})["countersign-sidecar"]["config"]
        theirs = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
        for key in ("admin", "probes"):
            theirs.pop(key, None)
        assert ours == theirs, f"charts/examples/{name}.yaml and config/{name}.yaml differ"
    files = values_of({"of": "atlas"})["countersign-sidecar"]["files"]
    assert json.loads(files["atlas-jwks.json"]) == json.loads((ROOT / "config/atlas-jwks.json").read_text())
    one, other = (yaml.safe_load((CHARTS / name / "values.yaml").read_text()) for name in ("countersign-sidecar", "countersign"))
    apart = {key for key in one if key in other and one[key] != other[key]}
    assert apart == {"resources", "service", "networkPolicy", "monitor"}, apart
    for name in ("countersign-sidecar", "countersign"):
        known = set(json.loads((CHARTS / name / "values.schema.json").read_text())["properties"])
        given = set(yaml.safe_load((CHARTS / name / "values.yaml").read_text()))
        assert given <= known and known - given <= {"global", "countersign-sidecar"}, known ^ given
    template = (CHARTS / "countersign-sidecar/templates/_model.tpl").read_text()
    (tag,) = re.findall(r'define "countersign-sidecar.version" -}}(.+?)\{\{', template)
    versions = {(metadata["version"], metadata["appVersion"]) for metadata in (yaml.safe_load(path.read_text()) for path in CHARTS.glob("*/Chart.yaml"))}
    package = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert versions == {(package, package)} and tag == package, versions
    return 4


def groups(example):
    return [group for one in render({"of": example}).values() if one["kind"] == "PrometheusRule" for group in one["spec"]["groups"]]


def dashboard(example):
    """What the panels of a dashboard ask."""
    for one in render({"of": example}).values():
        for name, text in (one.get("data") or {}).items():
            if name.endswith(".json") and "panels" in text:
                found = json.loads(text)
                assert found["title"] and found["uid"] and len(found["panels"]) > 10
                yield from (target["expr"] for panel in found["panels"] for target in panel["targets"])


def test_metrics():
    """Every series that rules and dashboard ask for is one that /metrics (on standard input) has, labels included."""
    exported = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", sys.stdin.read(), re.M):
        exported.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    asked = set()
    for example in ("smartem", "standalone"):
        for expression in [rule["expr"] for group in groups(example) for rule in group["rules"]] + list(dashboard(example)):
            series = re.findall(r"\b([a-z]+_\w+)\{([^}]*)\}", expression)
            assert series, f"no series in {expression}"
            by = {label.strip() for names in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for label in names.split(",")}
            for name, selector in series:
                assert name in exported, f"{name} is not exported: {expression}"
                assert 'job="' in selector and 'namespace="' in selector, expression
                # A selector's labels, and what it is summed by.
                strange = (set(re.findall(r'(\w+)(?:=|!=|=~|!~)"', selector)) | by) - exported[name] - {"namespace", "job", "pod"}
                assert not strange, f"{name} has no label {strange}: {expression}"
                asked.add(name)
    return len(asked)


def test_alerts():
    """alerts.yaml, row by row, by Prometheus' own tool: each alert fires, and does not. Expressions of the dashboard parse."""
    tool = shutil.which("promtool", path=f"{ROOT / 'target/ci-tools/bin'}:{os.environ['PATH']}")
    if not tool:
        return skipped("no promtool")
    rows = load("alerts.yaml")
    rules = groups("smartem")
    assert [row["alert"] for row in rows] == [rule["alert"] for group in rules for rule in group["rules"]], "a row for each alert"
    asked = [{"record": f"panel:{at}", "expr": expression.replace("$__rate_interval", "5m")} for at, expression in enumerate(dashboard("smartem"))]
    ours = {"namespace": "prod", "job": "smartem-app-countersign", "pod": "smartem-1"}
    tests = []
    for row in rows:
        rule = next(rule for group in rules for rule in group["rules"] if rule["alert"] == row["alert"])
        # What the expression does not sum away is kept.
        kept = {} if "sum by" in rule["expr"] else ours
        for series, others, alerts in (
            (row["fires"], ours, [{"exp_labels": kept | row["labels"]}]),
            (row["silent"], ours, []),
            (row["fires"], ours | {"job": "other-app-countersign"}, []),
            (row["fires"], ours | {"namespace": "other"}, []),
        ):
            more = ",".join(f'{name}="{value}"' for name, value in others.items())
            named = {name[:-1] + f",{more}}}" if name.endswith("}") else f"{name}{{{more}}}": values for name, values in series.items()}
            tests.append({
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in named.items()],
                "alert_rule_test": [{"eval_time": row["at"], "alertname": row["alert"], "exp_alerts": alerts}],
            })
    with tempfile.TemporaryDirectory() as place:
        # Their texts are checked as they are, and left out where alerts are compared as a whole.
        whole, bare, cases = (Path(place, name) for name in ("whole.yaml", "bare.yaml", "tests.yaml"))
        whole.write_text(yaml.safe_dump({"groups": rules + [{"name": "dashboard", "rules": asked}]}))
        for rule in (rule for group in rules for rule in group["rules"]):
            assert rule.pop("annotations")["summary"]
        bare.write_text(yaml.safe_dump({"groups": rules}))
        cases.write_text(yaml.safe_dump({"rule_files": [str(bare)], "evaluation_interval": "5m", "tests": tests}))
        for command in (["check", "rules", whole], ["test", "rules", cases]):
            done = subprocess.run([tool, *command], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    return len(tests)


def skipped(why):
    """Nothing was looked at; the caller decides whether it may be so."""
    return f"skipped: {why}"


def test_dockerfile():
    """hadolint finds nothing in the Dockerfile, and something in a bad one."""
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    bad = subprocess.run([hadolint, "-"], input="FROM debian\nRUN cd /tmp\n", capture_output=True, text=True)
    assert bad.returncode != 0 and "DL3003" in bad.stdout, bad.stdout
    return 2


def test_docs():
    """Every configuration (`yaml config`) of the pages passes `check`; all values (`yaml values CHART`) render to one that does."""
    looked = 0
    for page in ("kubernetes", "migrating"):
        text = (ROOT / f"docs/{page}.md").read_text()
        for indent, kind, body in re.findall(r"^( *)```yaml (config|values \w+)\n(.*?)^ *```$", text, re.M | re.S):
            body = "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
            where = f"docs/{page}.md: {body}"
            if kind == "config":
                jwks = (ROOT / "config/atlas-jwks.json").read_text()
                check({"countersign.yaml": body, "atlas-jwks.json": jwks}, where)
            else:
                path = CHARTS / "countersign" if kind.endswith("countersign") else EXAMPLES / "app"
                texts = chart(path).render(yaml.safe_load(body), name="page", namespace="prod")
                objects = [one for name, text in texts.items() if not name.endswith(".txt") for one in yaml.load_all(text, Loader=Strict) if one]
                check(configuration({str(at): one for at, one in enumerate(objects)}), where)
            looked += 1
    return looked


def test_schema():
    """values.schema.json of both charts is what charts/schema/generate makes with this program."""
    subprocess.run([sys.executable, CHARTS / "schema/generate", "--check", PROGRAM], check=True)
    return 2


if __name__ == "__main__":
    print("ok", globals()[f"test_{sys.argv[1]}"]())
