{{- define "countersign-webhook.name" -}}
{{- .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name)) | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "countersign-webhook.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "countersign-webhook.labels" -}}
{{- $own := dict
      "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
      "app.kubernetes.io/component" "webhook"
      "app.kubernetes.io/managed-by" "Helm" -}}
{{- merge (deepCopy .Values.labels) $own (include "countersign-webhook.selector" . | fromYaml) | toYaml -}}
{{- end -}}

{{- define "countersign-webhook.metadata" -}}
name: {{ include "countersign-webhook.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "countersign-webhook.labels" . | nindent 2 }}
{{- end -}}

{{- define "countersign-webhook.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The Secret with the certificate. */ -}}
{{- define "countersign-webhook.secret" -}}
{{- if .Values.certificate.certManager.enabled -}}
{{- include "countersign-webhook.name" . }}-tls
{{- else -}}
{{- required "certificate.secretName: which Secret holds the certificate? (or certificate.certManager.enabled)" .Values.certificate.secretName -}}
{{- end -}}
{{- end -}}
