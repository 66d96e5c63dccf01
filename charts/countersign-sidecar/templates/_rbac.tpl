{{- /* Lets the pod's ServiceAccount ask the API server about tokens. */ -}}
{{- define "countersign-sidecar.tokenReview" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $review := $model.values.tokenReview -}}
{{- if and $review.enabled $review.clusterRoleBinding -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $model.namespace }}-{{ $model.name }}-token-review
  labels:
    {{- include "countersign-sidecar.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:auth-delegator
subjects:
  - kind: ServiceAccount
    name: {{ $review.serviceAccount | default (ternary $model.name "default" (eq $model.mode "standalone")) }}
    namespace: {{ $model.namespace }}
{{- end -}}
{{- end -}}
