{{- /* A PodMonitor or a ServiceMonitor of the Prometheus operator. */ -}}
{{- define "countersign-sidecar.monitor" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $monitor := $model.values.monitor -}}
{{- if $monitor.enabled -}}
{{- $pods := eq $monitor.kind "PodMonitor" -}}
apiVersion: monitoring.coreos.com/v1
kind: {{ $monitor.kind }}
metadata:
  {{- include "countersign-sidecar.metadata" . | nindent 2 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- toYaml $model.selector | nindent 6 }}
      {{- if not $pods }}
      app.kubernetes.io/component: probes
      {{- end }}
  {{ ternary "podMetricsEndpoints" "endpoints" $pods }}:
    - port: probes
      path: /metrics
      interval: {{ $monitor.interval }}
      relabelings:
        - {action: replace, targetLabel: job, replacement: {{ $model.name }}}     # what rules and dashboard look for
{{- end -}}
{{- end -}}

{{- /* The port that a ServiceMonitor looks for, on a Service of its own so that the application's stays as it is. */ -}}
{{- define "countersign-sidecar.probesService" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- if or (eq $model.mode "standalone") (and $model.values.monitor.enabled (eq $model.values.monitor.kind "ServiceMonitor")) -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $model.name }}-probes
  namespace: {{ $model.namespace }}
  labels:
    {{- merge (dict "app.kubernetes.io/component" "probes") $model.selector (include "countersign-sidecar.labels" . | fromYaml) | toYaml | nindent 4 }}
spec:
  type: ClusterIP
  selector:
    {{- toYaml $model.selector | nindent 4 }}
  ports:
    - name: probes
      port: {{ int $model.probes }}
      targetPort: {{ int $model.probes }}
      protocol: TCP
      appProtocol: http
{{- end -}}
{{- end -}}
