{{- /* The ConfigMap: the configuration, and the files beside it. */ -}}
{{- define "countersign-sidecar.configMap" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "countersign-sidecar.metadata" . | nindent 2 }}
data:
  countersign.yaml: |
    {{- if $model.values.configText }}
    {{- $model.values.configText | trimSuffix "\n" | nindent 4 }}
    {{- else }}
    {{- toYaml $model.config | nindent 4 }}
    {{- end }}
  {{- range $name, $content := $model.values.files }}
  {{- if eq $name "countersign.yaml" }}{{- fail "`files` holds what stands beside the configuration, not the configuration" }}{{- end }}
  {{ $name | quote }}: |
    {{- $content | trimSuffix "\n" | nindent 4 }}
  {{- end }}
{{- end -}}
