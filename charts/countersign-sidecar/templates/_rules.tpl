{{- /*
Alerts as a PrometheusRule. Every metric here is one that the program exports: a test asks a running one.
The series are those of this release: `namespace` and `pod` come from the operator, `job` from the monitor.
*/ -}}
{{- define "countersign-sidecar.rules" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $rules := $model.values.rules -}}
{{- if $rules.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  {{- include "countersign-sidecar.metadata" . | nindent 2 }}
    {{- with $rules.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  groups:
    - name: {{ $model.namespace }}.{{ $model.name }}
      rules:
        {{- include "countersign-sidecar.alerts" $model | nindent 8 }}
{{- end -}}
{{- end -}}

{{- /* Which series belong to this release: the monitor gives them this job. */ -}}
{{- define "countersign-sidecar.series" -}}
{{- printf "namespace=%q,job=%q" .namespace .name -}}
{{- end -}}

{{- define "countersign-sidecar.alerts" -}}
{{- $ours := include "countersign-sidecar.series" . -}}
{{- $rules := .values.rules -}}
- alert: CountersignIssuerWithoutKeys
  expr: countersign_issuer_usable_keys{ {{- $ours -}} } == 0
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: {{ "Tokens of issuer {{ $labels.issuer }} get 503 from {{ $labels.pod }}" | quote }}
    description: "No usable key is held, so tokens of this issuer cannot be judged. The log has jwks.refresh_failed with the reason."
- alert: CountersignKeysStale
  expr: countersign_key_set_remaining_seconds{ {{- $ours -}} } < {{ int $rules.keysRemainingSeconds }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: {{ "Keys of issuer {{ $labels.issuer }} could not be refreshed for long in {{ $labels.pod }}" | quote }}
    description: {{ "The last good keys serve for another {{ $value | humanizeDuration }}; then this issuer's tokens get 503." | quote }}
- alert: CountersignIdpUnreachable
  expr: >-
    increase(countersign_key_fetches_total{ {{- $ours -}} ,outcome="failed"}[30m]) > 0
    unless on (pod, issuer) increase(countersign_key_fetches_total{ {{- $ours -}} ,outcome="ok"}[30m]) > 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: {{ "No fetch of the keys of issuer {{ $labels.issuer }} worked for half an hour in {{ $labels.pod }}" | quote }}
    description: "Known tokens are still verified with the keys that are held. Is the IdP up, and does the NetworkPolicy let the pod reach it?"
- alert: CountersignCredentialUnusable
  expr: countersign_credential_usable{ {{- $ours -}} } == 0
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: {{ "{{ $labels.pod }} has no access token of credential {{ $labels.credential }}" | quote }}
    description: "Outbound requests that need it get 503. /status has the credential's last error."
- alert: CountersignCredentialFailing
  expr: >-
    sum by (pod, credential) (increase(countersign_credential_requests_total{ {{- $ours -}} ,outcome!="obtained"}[30m])) > 0
    unless on (pod, credential) sum by (pod, credential) (increase(countersign_credential_requests_total{ {{- $ours -}} ,outcome="obtained"}[30m])) > 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: {{ "No token request of credential {{ $labels.credential }} worked for half an hour in {{ $labels.pod }}" | quote }}
    description: "The token that is held serves until it ends. Is the secret still right, and the authorization server up?"
- alert: CountersignDenialsJump
  expr: >-
    sum by (listener) (rate(countersign_decisions_total{ {{- $ours -}} ,decision="denied"}[10m]))
    / sum by (listener) (rate(countersign_decisions_total{ {{- $ours -}} }[10m])) > {{ $rules.denials.share }}
    and sum by (listener) (rate(countersign_decisions_total{ {{- $ours -}} ,decision="denied"}[10m]))
    > {{ $rules.denials.factor }} * sum by (listener) (rate(countersign_decisions_total{ {{- $ours -}} ,decision="denied"}[1h] offset 1h))
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: {{ "{{ $value | humanizePercentage }} of the requests on listener {{ $labels.listener }} are refused" | quote }}
    description: "More than before. A new policy, a client with old tokens, or somebody trying doors; the decision records say which."
- alert: CountersignErrors
  expr: sum by (listener, reason) (rate(countersign_decisions_total{ {{- $ours -}} ,decision="errored"}[10m])) > {{ $rules.errorsPerSecond }}
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: {{ "Requests on listener {{ $labels.listener }} end with {{ $labels.reason }}" | quote }}
    description: "They could not be judged or served; docs/operations.md tells what the reason means and what helps."
- alert: CountersignReloadRejected
  expr: increase(countersign_config_reloads_total{ {{- $ours -}} ,outcome="failed"}[15m]) > 0
  labels: {severity: warning}
  annotations:
    summary: {{ "{{ $labels.pod }} rejected a changed configuration" | quote }}
    description: "The old one serves on, but a restart with the new one fails. The log has config.rejected with every error."
- alert: CountersignNotReady
  expr: countersign_ready_info{ {{- $ours -}} } == 0
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: {{ "{{ $labels.pod }} is not ready" | quote }}
    description: "/readyz says in words what is missing."
- alert: CountersignUpstreamExposed
  expr: countersign_upstream_exposed{ {{- $ours -}} } == 1
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: {{ "The upstream of listener {{ $labels.listener }} can be reached around the proxy in {{ $labels.pod }}" | quote }}
    description: "It listens on more than loopback. Bind it to 127.0.0.1; the NetworkPolicy alone does not hold inside a node."
- alert: CountersignCertificateEnding
  expr: >-
    (countersign_certificate_expiry_timestamp_seconds{ {{- $ours -}} } - time() < 1209600)
    and (countersign_certificate_expiry_timestamp_seconds{ {{- $ours -}} } - time()
    < (countersign_certificate_expiry_timestamp_seconds{ {{- $ours -}} } - countersign_certificate_start_timestamp_seconds{ {{- $ours -}} }) / 5)
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: {{ "The certificate of {{ $labels.use }} {{ $labels.name }} in {{ $labels.pod }} ends in {{ $value | humanizeDuration }}" | quote }}
    description: "Whatever renews it should have done so. A renewed file is read without a restart."
- alert: CountersignObserving
  expr: countersign_observing_routes{ {{- $ours -}} } > 0
  for: 1d
  labels: {severity: info}
  annotations:
    summary: {{ "{{ $value }} routes of {{ $labels.pod }} only observe" | quote }}
    description: "They enforce nothing. Meant for introducing a policy, not for keeping one."
- alert: CountersignLogLinesDropped
  expr: increase(countersign_dropped_log_lines_total{ {{- $ours -}} }[15m]) > 0
  labels: {severity: warning}
  annotations:
    summary: {{ "{{ $labels.pod }} lost log lines ({{ $labels.kind }})" | quote }}
    description: "Whoever reads standard output does not keep up."
{{- end -}}
