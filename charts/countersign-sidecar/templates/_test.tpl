{{- /*
A pod for `helm test`. It checks the configuration where it is used, with its secrets mounted: `countersign check` in the very
image. With `through` (a URL's authority) it also fetches /readyz from there, through a proxy of its own: the image has no
other client.
*/ -}}
{{- define "countersign-sidecar.test" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $through := .through | default "" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ $model.name }}-test
  namespace: {{ $model.namespace }}
  labels:
    app.kubernetes.io/name: {{ $model.chart }}-test
    app.kubernetes.io/instance: {{ $model.release }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    {{- if $through }}
    countersign.dev/probe.yaml: |
      {{- include "countersign-sidecar.probeConfig" $through | nindent 6 }}
    {{- end }}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  {{- with $model.values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $through }}
  initContainers:
    - name: client
      {{- include "countersign-sidecar.program" . | nindent 6 }}
        - name: probe
          mountPath: /etc/probe
          readOnly: true
      args: [run, --config, /etc/probe/probe.yaml]
      restartPolicy: Always
      startupProbe:
        exec: {command: [/usr/local/bin/countersign, probe, "http://127.0.0.1:9090/livez"]}
        periodSeconds: 1
        failureThreshold: 30
  {{- end }}
  containers:
    - name: check
      {{- include "countersign-sidecar.program" . | nindent 6 }}
      args: [check, /etc/countersign/countersign.yaml]
    {{- if $through }}
    - name: ready
      {{- include "countersign-sidecar.program" . | nindent 6 }}
      args: [probe, --timeout, "10", "http://127.0.0.1:8080/readyz"]
    {{- end }}
  volumes:
    {{- include "countersign-sidecar.volumes" . | nindent 4 }}
    {{- if $through }}
    - name: probe
      downwardAPI:
        items:
          - path: probe.yaml
            fieldRef: {fieldPath: "metadata.annotations['countersign.dev/probe.yaml']"}
    {{- end }}
{{- end -}}

{{- /* A proxy that lets anyone read /readyz: the client of the test. Its only issuer has no keys, and needs none. */ -}}
{{- define "countersign-sidecar.probeConfig" -}}
workers: 1
inbound: {listen: 127.0.0.1:8080, upstream: "http://{{ . }}"}
issuers:
  - {name: none, issuer: "urn:none", jwks: {url: "https://127.0.0.1:1/none"}, audiences: [none]}
routes:
  - {path: /readyz, allow: {GET: anyone}}
{{- end -}}

{{- /* For NOTES.txt. */ -}}
{{- define "countersign-sidecar.notes" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
Countersign stands before {{ $model.full }} in namespace {{ $model.namespace }}.
{{ range $model.listeners }}
  listener {{ .name }}: port {{ int .port }} of the pod{{ if .tls }}, TLS{{ end }}
{{- end }}
  probes and metrics: port {{ int $model.probes }}; admin: loopback of the pod,
    kubectl -n {{ $model.namespace }} port-forward POD 9090 and http://127.0.0.1:9090/

Who was refused, and why:
  kubectl -n {{ $model.namespace }} logs POD -c countersign | grep '"decision":"denied"'

The configuration is reloaded when the ConfigMap changes; a wrong one changes nothing. Check it, secrets included:
  helm -n {{ $model.namespace }} test {{ $model.release }}
{{- if not $model.values.networkPolicy.enabled }}

NOTE: networkPolicy.enabled is false. If the application listens on more than 127.0.0.1, everybody in the cluster goes around the proxy.
{{- end }}
{{- end -}}
