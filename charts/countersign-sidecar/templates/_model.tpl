{{- /*
What every template of this chart works from, as JSON. Call templates with the root context `.`, whose values stand under
`countersign-sidecar`, or with (dict "context" $ "values" .Values.other) for values that stand elsewhere.
*/ -}}
{{- define "countersign-sidecar.model" -}}
{{- $context := .context | default . -}}
{{- $values := .values | default (index $context.Values "countersign-sidecar") -}}
{{- $mode := .mode | default (ternary "native" "classic" (ne false $values.native)) -}}
{{- $chart := $values.nameOverride | default $context.Chart.Name -}}
{{- $full := $values.fullnameOverride | default (ternary $context.Release.Name (printf "%s-%s" $context.Release.Name $chart) (contains $chart $context.Release.Name)) | trunc 50 | trimSuffix "-" -}}
{{- $selector := $values.selectorLabels | default (dict "app.kubernetes.io/name" $chart "app.kubernetes.io/instance" $context.Release.Name) -}}
{{- $defaults := dict
      "workers" (ternary 2 1 (eq $mode "standalone"))
      "admin" (dict "listen" "127.0.0.1:9090")
      "probes" (dict "listen" "0.0.0.0:9091" "serve" (list "livez" "readyz" "metrics"))
      "drain" (get (dict
          "native" (dict "delay" "0s" "deadline" "5s")
          "classic" (dict "delay" "5s" "deadline" "20s")
          "standalone" (dict "delay" "10s" "deadline" "30s")) $mode) -}}
{{- if and $values.config $values.configText -}}
{{- fail "`config` and `configText` are two ways to say the same: give one of them" -}}
{{- end -}}
{{- if not (or $values.config $values.configText) -}}
{{- fail "the configuration is missing: give `config`, or `configText` with --set-file" -}}
{{- end -}}
{{- $config := mergeOverwrite $defaults (deepCopy $values.config) -}}
{{- if $values.configText -}}
{{- $config = fromYaml $values.configText -}}
{{- if hasKey $config "Error" -}}{{- fail (printf "`configText` is no YAML: %s" $config.Error) -}}{{- end -}}
{{- end -}}
{{- $listeners := list -}}
{{- $inbound := $config.inbound | default list -}}
{{- range (ternary (list $inbound) $inbound (kindIs "map" $inbound)) -}}
{{- $listen := toString .listen -}}
{{- if not (hasPrefix "unix:" $listen) -}}
{{- $port := regexFind "[0-9]+$" $listen -}}
{{- if not $port -}}{{- fail (printf "no port in `listen: %s`: the chart must know it" $listen) -}}{{- end -}}
{{- if not (regexMatch "^(127\\.|\\[::1\\]|localhost:)" $listen) -}}
{{- $listeners = append $listeners (dict "name" (.name | default "inbound") "port" (atoi $port) "tls" (hasKey . "tls")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $probes := (($config.probes | default dict).listen) | default "" | toString -}}
{{- if not (and (regexMatch ":[0-9]+$" $probes) (not (regexMatch "^(127\\.|\\[::1\\]|localhost:)" $probes))) -}}
{{- fail "`probes.listen` must name an address that the kubelet reaches, such as 0.0.0.0:9091" -}}
{{- end -}}
{{- $remote := list -}}
{{- $reviewed := list -}}
{{- range ($config.issuers | default list) -}}
{{- $jwks := .jwks | default dict -}}
{{- $verify := .verify | default dict -}}
{{- if or $jwks.url $jwks.discover $verify.introspection -}}{{- $remote = append $remote (printf "issuer %s" .name) -}}{{- end -}}
{{- if hasKey $verify "token_review" -}}
{{- $reviewed = append $reviewed (printf "issuer %s" .name) -}}
{{- if not (or $values.tokenReview.enabled (($verify.token_review | default dict).token)) -}}
{{- fail (printf "issuer %s asks the API server (token_review), with a token that is not mounted: tokenReview.enabled, or name another in `token`" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $credential := ($config.credentials | default dict) -}}
{{- $remote = append $remote (printf "credential %s" $name) -}}
{{- end -}}
{{- $drain := $config.drain | default dict -}}
{{- $delay := include "countersign-sidecar.seconds" ($drain.delay | default "5s") | atoi -}}
{{- $deadline := include "countersign-sidecar.seconds" ($drain.deadline | default "30s") | atoi -}}
{{- $termination := $values.termination | default dict -}}
{{- $kubernetes := $values.kubeVersion | default $context.Capabilities.KubeVersion.Version -}}
{{- $sleep := ternary (int $termination.appSleepSeconds) 0 (semverCompare ">=1.30.0-0" $kubernetes) -}}
{{- $app := add $sleep (int $termination.appSeconds) -}}
{{- $own := add $delay $deadline -}}
{{- $grace := add 5 $own -}}
{{- if eq $mode "native" -}}{{- $grace = add 5 $app $own -}}{{- end -}}
{{- if eq $mode "classic" -}}{{- $grace = add 5 (max $app $own) -}}{{- end -}}
{{- with int $values.terminationGracePeriodSeconds -}}
{{- $least := sub $grace 5 -}}
{{- if le . $least -}}
{{- fail (printf "`terminationGracePeriodSeconds: %d` is over before the pod has ended by itself, which may take %ds (docs/kubernetes.md, the end of a pod): raise it, or lower `drain`" . $least) -}}
{{- end -}}
{{- $grace = . -}}
{{- end -}}
{{- $tag := $values.image.tag | default (include "countersign-sidecar.version" .) -}}
{{- dict
      "mode" $mode
      "chart" $chart
      "full" $full
      "name" (ternary $full (printf "%s-countersign" $full) (eq $mode "standalone"))
      "release" $context.Release.Name
      "namespace" $context.Release.Namespace
      "version" (printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_")
      "selector" $selector
      "values" $values
      "config" $config
      "listeners" $listeners
      "probes" (regexFind "[0-9]+$" $probes | atoi)
      "remote" $remote
      "reviewed" $reviewed
      "grace" $grace
      "sleep" $sleep
      "image" (ternary (printf "%s@%s" $values.image.repository $values.image.digest) (printf "%s:%s" $values.image.repository $tag) (ne "" ($values.image.digest | default "")))
    | toJson -}}
{{- end -}}

{{- /* The program that these templates were made with. Not `.Subcharts`: the chart may go by an alias there. */ -}}
{{- define "countersign-sidecar.version" -}}0.1.0{{- end -}}

{{- /* A duration of the program's (1m30s, 250ms) in whole seconds, rounded up. */ -}}
{{- define "countersign-sidecar.seconds" -}}
{{- $factors := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h|d)" (toString .) -1 -}}
{{- $total = addf $total (mulf (regexFind "[0-9]+" . | float64) (get $factors (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- ceil $total | int -}}
{{- end -}}

{{- /* Labels of the objects that this chart makes. */ -}}
{{- define "countersign-sidecar.labels" -}}
{{- $model := include "countersign-sidecar.model" . | fromJson -}}
{{- $own := dict
      "helm.sh/chart" $model.version
      "app.kubernetes.io/name" $model.chart
      "app.kubernetes.io/instance" $model.release
      "app.kubernetes.io/component" (ternary "proxy" "countersign" (eq $model.mode "standalone"))
      "app.kubernetes.io/managed-by" "Helm" -}}
{{- merge (deepCopy ($model.values.labels | default dict)) $own | toYaml -}}
{{- end -}}

{{- /* The name of the objects that this chart makes. */ -}}
{{- define "countersign-sidecar.name" -}}
{{- (include "countersign-sidecar.model" . | fromJson).name -}}
{{- end -}}

{{- define "countersign-sidecar.metadata" -}}
name: {{ include "countersign-sidecar.name" . }}
namespace: {{ (include "countersign-sidecar.model" . | fromJson).namespace }}
labels:
  {{- include "countersign-sidecar.labels" . | nindent 2 }}
{{- end -}}
