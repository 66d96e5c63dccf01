#!/usr/bin/env python3
"""Tests of the charts, without a cluster: tests/kubernetes/charts.py TEST, with the program in COUNTERSIGN.

Run by tests/it/kubernetes.rs. Needs requirements.txt beside this file. Each test says `ok N` at the end, N being what it looked
at, or fails with words.
"""

import copy
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import helm_python as helm
import yaml
from injection import custom, test_agreement, test_inject, test_webhook  # noqa: F401 (by name, below)
from monitoring import test_alerts, test_metrics  # noqa: F401
from objects import consistent, look, ours, pods, restricted, validator, versions
from rendering import (
    CHARTS, EXAMPLES, PROGRAM, ROOT, Strict, chart, check, configuration, examples, folder, load, render, values_of,
)

# Kinds that come with operators: no Kubernetes schema has them; crds.mjs looks at them.
CUSTOM = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "HTTPRoute"}


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
    """Prints what crds.mjs reads: every different custom resource of switches.yaml and webhook.yaml."""
    objects = [one for row in load("switches.yaml") for one in render(row).values() if one["kind"] in CUSTOM]
    different = {json.dumps(one, sort_keys=True) for one in objects + custom()}
    print(f"[{','.join(sorted(different))}]")
    return len(different)


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
    for name, file in (("smartem", "smartem"), ("atlas", "atlas"), ("agent", "smartem-agent")):
        ours = values_of({"of": name})["countersign-sidecar"]["config"]
        text = (ROOT / f"config/{file}.yaml").read_text()
        theirs = yaml.safe_load(text.replace("/etc/countersign/smartem-agent.secret", "/run/countersign/agent/client-secret"))
        for key in ("admin", "probes", "end"):
            theirs.pop(key, None)
        assert ours == theirs, f"charts/examples/{name}.yaml and config/{file}.yaml differ"
    files = values_of({"of": "atlas"})["countersign-sidecar"]["files"]
    assert json.loads(files["atlas-jwks.json"]) == json.loads((ROOT / "config/atlas-jwks.json").read_text())
    one, other = (yaml.safe_load((CHARTS / name / "values.yaml").read_text()) for name in ("countersign-sidecar", "countersign"))
    apart = {key for key in one if key in other and one[key] != other[key]}
    assert apart == {"resources", "secretMode", "service", "networkPolicy", "monitor"}, apart
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
