{{- /* The container: a list of one, or nothing. Native sidecars go among the init containers, classic ones among the containers. */ -}}
{{- define "countersign-sidecar.initContainers" -}}
{{- if eq (include "countersign-sidecar.model" . | fromJson).mode "native" -}}
{{- include "countersign-sidecar.container" . -}}
{{- end -}}
{{- end -}}

{{- define "countersign-sidecar.containers" -}}
{{- if ne (include "countersign-sidecar.model" . | fromJson).mode "native" -}}
{{- include "countersign-sidecar.container" . -}}
{{- end -}}
{{- end -}}

{{- define "countersign-sidecar.container" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $values := $model.values -}}
- name: countersign
  {{- include "countersign-sidecar.program" . | nindent 2 }}
  args: [run, --config, /etc/countersign/countersign.yaml]
  {{- if eq $model.mode "native" }}
  restartPolicy: Always
  {{- end }}
  ports:
    {{- range $model.listeners }}
    - name: {{ .name | lower | replace "_" "-" | trunc 15 | trimSuffix "-" }}
      containerPort: {{ int .port }}
      protocol: TCP
    {{- end }}
    - name: probes
      containerPort: {{ int $model.probes }}
      protocol: TCP
  startupProbe:
    httpGet: {path: /livez, port: {{ int $model.probes }}}
    {{- toYaml $values.startupProbe | nindent 4 }}
  readinessProbe:
    httpGet: {path: /readyz, port: {{ int $model.probes }}}
    {{- toYaml $values.readinessProbe | nindent 4 }}
  livenessProbe:
    httpGet: {path: /livez, port: {{ int $model.probes }}}
    {{- toYaml $values.livenessProbe | nindent 4 }}
{{- end -}}

{{- /* What the container and the tests of the chart share. */ -}}
{{- define "countersign-sidecar.program" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $values := $model.values -}}
image: {{ $model.image | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
{{- with $values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
securityContext:
  {{- include "countersign-sidecar.securityContext" . | nindent 2 }}
volumeMounts:
  - name: countersign-config
    mountPath: /etc/countersign
    readOnly: true
  {{- if $values.cache.enabled }}
  - name: countersign-cache
    mountPath: /var/lib/countersign
  {{- end }}
  {{- range $values.mounts }}
  - name: countersign-{{ .name }}
    mountPath: /run/countersign/{{ .name }}
    readOnly: true
  {{- end }}
  {{- if $values.tokenReview.enabled }}
  - name: countersign-cluster
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- end }}
{{- end -}}

{{- /* The Pod Security Standard "restricted", whole. */ -}}
{{- define "countersign-sidecar.securityContext" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
privileged: false
readOnlyRootFilesystem: true
runAsGroup: 65532
runAsNonRoot: true
runAsUser: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- /* The volumes of the container. */ -}}
{{- define "countersign-sidecar.volumes" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
- name: countersign-config
  configMap:
    name: {{ $model.name }}
{{- with $model.values.cache }}
{{- if .enabled }}
- name: countersign-cache
  emptyDir: {sizeLimit: {{ .sizeLimit }}}
{{- end }}
{{- end }}
{{- range $model.values.mounts }}
- name: countersign-{{ .name }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret }}
    defaultMode: {{ int $model.values.secretMode }}
  {{- else if .configMap }}
  configMap:
    name: {{ .configMap }}
  {{- else if .token }}
  projected:
    sources:
      - serviceAccountToken:
          path: token
          {{- with .token.audience }}
          audience: {{ . | quote }}
          {{- end }}
          expirationSeconds: {{ .token.expirationSeconds | default 3600 | int }}
      {{- if .token.clusterCa }}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
      {{- end }}
  {{- end }}
{{- end }}
{{- if $model.values.tokenReview.enabled }}
- name: countersign-cluster
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end -}}

{{- /* Annotations of the pod: the part of the configuration that only a restart changes. The rest is reloaded in place. */ -}}
{{- define "countersign-sidecar.podAnnotations" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $config := $model.config -}}
{{- $addresses := list -}}
{{- range $listeners := list $config.inbound $config.outbound -}}
{{- range (ternary (list $listeners) ($listeners | default list) (kindIs "map" $listeners)) -}}
{{- $addresses = append $addresses (list .name .listen) -}}
{{- end -}}
{{- end -}}
countersign.dev/restart: {{ list $addresses $config.workers $config.admin $config.probes $config.telemetry | toJson | sha256sum | trunc 16 | quote }}
{{- end -}}

{{- /* How long the pod may take to end; see docs/kubernetes.md. */ -}}
{{- define "countersign-sidecar.terminationGracePeriodSeconds" -}}
{{- (include "countersign-sidecar.model" . | fromJson).grace | int -}}
{{- end -}}

{{- /*
`lifecycle` of the application's own container: it must go on serving until nobody sends any more. The sleep action is on by
default from Kubernetes 1.30; before, the application has to wait by itself.
*/ -}}
{{- define "countersign-sidecar.appLifecycle" -}}
{{- with (include "countersign-sidecar.model" . | fromJson).sleep -}}
preStop:
  sleep: {seconds: {{ int . }}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{- /* `ports` of the Service, pointed at the proxy. By number: a name would have to be looked up among init containers. */ -}}
{{- define "countersign-sidecar.servicePorts" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- range $port := $model.values.service.ports }}
{{- $found := dict }}
{{- range $model.listeners }}{{- if or (eq .name $port.inbound) (and (eq "" $port.inbound) (eq 1 (len $model.listeners))) }}{{- $found = . }}{{- end }}{{- end }}
{{- if not $found }}{{- fail (printf "service port %s: no inbound listener `%s` that is reachable from outside the pod" $port.name $port.inbound) }}{{- end }}
- name: {{ $port.name }}
  port: {{ int $port.port }}
  targetPort: {{ int $found.port }}
  protocol: TCP
  appProtocol: {{ ternary "https" "http" (eq true ($found.tls | default false)) }}
{{- end }}
{{- end -}}
