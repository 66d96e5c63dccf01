{{- /* The NetworkPolicy of the pod: in through the proxy only, out to what is listed. */ -}}
{{- define "countersign-sidecar.networkPolicy" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $policy := $model.values.networkPolicy -}}
{{- if $policy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "countersign-sidecar.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- toYaml $model.selector | nindent 6 }}
  policyTypes: [Ingress{{ if $policy.egress.enabled }}, Egress{{ end }}]
  ingress:
    {{- if $model.listeners }}
    - ports:
        {{- range $model.listeners }}
        - {port: {{ int .port }}, protocol: TCP}
        {{- end }}
      {{- with $policy.ingress.from }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    - ports:
        - {port: {{ int $model.probes }}, protocol: TCP}
      from:
        {{- with $policy.ingress.monitoring }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: {{ $model.chart }}-test
              app.kubernetes.io/instance: {{ $model.release }}
  {{- if $policy.egress.enabled }}
  egress:
    - ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
      to:
        {{- toYaml $policy.egress.dns | nindent 8 }}
    {{- if and $model.remote (not $policy.egress.idp) }}
    {{- fail (printf "networkPolicy.egress.idp is empty, but %s must reach an IdP: say where it is" (join ", " $model.remote)) }}
    {{- end }}
    {{- if and $model.reviewed (not $policy.egress.apiServer) }}
    {{- fail (printf "networkPolicy.egress.apiServer is empty, but %s must reach the API server: say where it is" (join ", " $model.reviewed)) }}
    {{- end }}
    {{- range (concat ($policy.egress.idp | default list) ($policy.egress.apiServer | default list) ($policy.egress.upstream | default list) ($policy.egress.extra | default list)) }}
    {{- toYaml (list .) | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}
