"""Tests of rules and dashboard."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from rendering import ROOT, load, render


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
