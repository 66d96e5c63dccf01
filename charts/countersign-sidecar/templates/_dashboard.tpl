{{- /* A Grafana dashboard in a ConfigMap, found by the label that Grafana's sidecar looks for. */ -}}
{{- define "countersign-sidecar.dashboard" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $dashboard := $model.values.dashboard -}}
{{- if $dashboard.enabled -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $model.name }}-dashboard
  namespace: {{ $dashboard.namespace | default $model.namespace }}
  labels:
    {{- include "countersign-sidecar.labels" . | nindent 4 }}
    {{- toYaml $dashboard.labels | nindent 4 }}
data:
  {{ $model.namespace }}-{{ $model.name }}.json: |
    {{- include "countersign-sidecar.dashboardJson" $model | fromYaml | toPrettyJson | nindent 4 }}
{{- end -}}
{{- end -}}

{{- /* title · unit · queries; a query is an expression and the labels that name its lines. @ stands for this release's series. */ -}}
{{- define "countersign-sidecar.panels" -}}
- title: Requests by decision
  unit: reqps
  queries:
    - ['sum by (decision) (rate(countersign_decisions_total{@}[$__rate_interval]))', decision]
- title: Refusals and errors by reason
  unit: reqps
  queries:
    - ['sum by (route, reason) (rate(countersign_decisions_total{@,decision!="allowed"}[$__rate_interval]))', route, reason]
- title: Duration, 50th and 99th of a hundred
  unit: s
  queries:
    - ['histogram_quantile(0.5, sum by (le, listener) (rate(http_server_request_duration_seconds_bucket{@}[$__rate_interval])))', listener]
    - ['histogram_quantile(0.99, sum by (le, listener) (rate(http_server_request_duration_seconds_bucket{@}[$__rate_interval])))', listener]
- title: Upstream, time to the head of its answer
  unit: s
  queries:
    - ['histogram_quantile(0.99, sum by (le, listener) (rate(countersign_upstream_response_seconds_bucket{@}[$__rate_interval])))', listener]
- title: In flight and connections
  unit: short
  queries:
    - ['sum by (listener) (http_server_active_requests{@})', listener]
    - ['sum by (listener) (countersign_open_connections{@})', listener]
- title: Connections that ended before a request
  unit: cps
  queries:
    - ['sum by (listener, reason) (rate(countersign_connection_refusals_total{@}[$__rate_interval]))', listener, reason]
- title: Time that the keys still serve
  unit: s
  queries:
    - ['min by (issuer) (countersign_key_set_remaining_seconds{@})', issuer]
- title: Usable keys
  unit: short
  queries:
    - ['min by (issuer) (countersign_issuer_usable_keys{@})', issuer]
- title: Fetches of keys
  unit: short
  queries:
    - ['sum by (issuer, outcome) (increase(countersign_key_fetches_total{@}[$__rate_interval]))', issuer, outcome]
- title: Credentials, usable and token requests
  unit: short
  queries:
    - ['min by (credential) (countersign_credential_usable{@})', credential]
    - ['sum by (credential, outcome) (increase(countersign_credential_requests_total{@}[$__rate_interval]))', credential, outcome]
- title: Verified tokens remembered
  unit: percentunit
  queries:
    - ['sum(rate(countersign_token_cache_lookups_total{@,outcome="hit"}[$__rate_interval])) / sum(rate(countersign_token_cache_lookups_total{@}[$__rate_interval]))']
- title: Configuration, live generation and rejected reloads
  unit: short
  queries:
    - ['max by (pod) (countersign_config_generation_info{@})', pod]
    - ['sum by (pod) (increase(countersign_config_reloads_total{@,outcome="failed"}[$__rate_interval]))', pod]
- title: Ready, observing, exposed
  unit: short
  queries:
    - ['min by (pod) (countersign_ready_info{@})', pod]
    - ['max by (pod) (countersign_observing_routes{@})', pod]
    - ['max by (pod, listener) (countersign_upstream_exposed{@})', pod, listener]
- title: Certificates, time left
  unit: s
  queries:
    - ['min by (use, name) (countersign_certificate_expiry_timestamp_seconds{@}) - time()', use, name]
- title: CPU
  unit: short
  queries:
    - ['sum by (pod) (rate(process_cpu_seconds_total{@}[$__rate_interval]))', pod]
- title: Memory
  unit: bytes
  queries:
    - ['sum by (pod) (process_resident_memory_bytes{@})', pod]
{{- end -}}

{{- define "countersign-sidecar.dashboardJson" -}}
{{- $ours := include "countersign-sidecar.series" . -}}
{{- $source := dict "type" "prometheus" "uid" "${datasource}" -}}
{{- $panels := list -}}
{{- range $index, $panel := include "countersign-sidecar.panels" . | fromYamlArray -}}
{{- $targets := list -}}
{{- range $at, $query := $panel.queries -}}
{{- $legend := list -}}
{{- range rest $query }}{{ $legend = append $legend (printf "{{%s}}" .) }}{{ end -}}
{{- $targets = append $targets (dict "refId" (index (list "A" "B" "C" "D") $at) "datasource" $source "expr" (first $query | replace "@" $ours) "legendFormat" (join " " $legend | default "all")) -}}
{{- end -}}
{{- $place := dict "h" 8 "w" 12 "x" (mul 12 (mod $index 2)) "y" (mul 8 (div $index 2)) -}}
{{- $defaults := dict "unit" $panel.unit "min" 0 -}}
{{- $panels = append $panels (dict "id" (add1 $index) "type" "timeseries" "title" $panel.title "datasource" $source "gridPos" $place "fieldConfig" (dict "defaults" $defaults "overrides" list) "targets" $targets) -}}
{{- end -}}
{{- $variable := dict "name" "datasource" "type" "datasource" "query" "prometheus" "label" "Data source" -}}
{{- dict
      "title" (printf "Countersign: %s/%s" .namespace .full)
      "uid" (printf "countersign-%s" (printf "%s/%s" .namespace .name | sha256sum | trunc 24))
      "tags" (list "countersign")
      "schemaVersion" 39
      "editable" false
      "refresh" "30s"
      "time" (dict "from" "now-6h" "to" "now")
      "templating" (dict "list" (list $variable))
      "panels" $panels
    | toJson -}}
{{- end -}}
