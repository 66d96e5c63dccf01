// Validates custom resources, a JSON list on standard input, against the schemas of their operators. Says `ok N`.
import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";
import { PodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { Certificate } from "@kubernetes-models/cert-manager/cert-manager.io/v1/Certificate";
import { Issuer } from "@kubernetes-models/cert-manager/cert-manager.io/v1/Issuer";
import { readFileSync } from "node:fs";

const kinds = { Certificate, HTTPRoute, Issuer, PodMonitor, PrometheusRule, ServiceMonitor };

function validate(resource) {
  const Kind = kinds[resource.kind];
  const known = new Kind({});
  if (known.apiVersion !== resource.apiVersion) throw new Error(`${resource.kind}: ${resource.apiVersion} is not ${known.apiVersion}`);
  new Kind(resource).validate();
}

// The same with something wrong in it: a schema that takes everything would take this, too.
const wrong = {
  Certificate: (spec) => { spec.privateKey.algorithm = "Ed448"; },
  Issuer: (spec) => { spec.ca = { secretNames: ["x"] }; },
  HTTPRoute: (spec) => { spec.rules[0].matches[0].path.type = "Prefix"; },
  PodMonitor: (spec) => { spec.podMetricsEndpoints[0].port = 9091; },
  PrometheusRule: (spec) => { delete spec.groups[0].rules[0].expr; },
  ServiceMonitor: (spec) => { spec.endpoints[0].interval = "often"; },
};

const resources = JSON.parse(readFileSync(0, "utf8"));
const seen = new Set();
for (const resource of resources) {
  validate(resource);
  seen.add(resource.kind);
  const bad = structuredClone(resource);
  wrong[resource.kind](bad.spec);
  let taken = true;
  try { validate(bad); } catch { taken = false; }
  if (taken) throw new Error(`${resource.kind}: a wrong one is taken`);
}
if (seen.size !== Object.keys(kinds).length) throw new Error(`only ${[...seen]}`);
console.log(`ok ${resources.length}`);
