#!/usr/bin/env python3
"""Turns results.json into a table and a plot.

    render.py RESULTS.json markdown
    render.py RESULTS.json summary      a few columns of it
    render.py RESULTS.json svg
"""

import html
import json
import statistics
import sys

OURS = "countersign"
SUMMARY = ["sat32", "paced2k", "rej-none"]


def clean(runs):
    return [run for run in runs if not run["noisy"]] or runs


def median(runs, figure):
    return statistics.median(run[figure] for run in clean(runs))


def figures(results, case, figure="us_per_request"):
    """(title, median, least, most, noisy) of the targets that ran a case."""
    for target in results["targets"].values():
        runs = target["runs"].get(case)
        if runs:
            values = [run[figure] for run in clean(runs)]
            yield target["title"], statistics.median(values), min(values), max(values), all(run["noisy"] for run in runs)


def conditions(results):
    about = results["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"{about['date']}; {versions}; {about['cpu']}, Linux {about['kernel']}."


def markdown(results):
    lines = [
        f"{conditions(results)} CPU µs per request of the proxy's process: median "
        f"[least–most] of {results['rounds']} interleaved rounds of {results['seconds']} s; `~`: other work was on the cores in every round.",
        "",
    ]
    if cases := ran(results):
        lines += per_request(results, [case for case in cases if case != "body1m"])
        lines += besides(results)
    for part in (tls, grpc, workers):
        lines += part(results)
    return "\n".join(lines)


def besides(results):
    """What is no CPU per request."""
    yield from ["", "| | requests/s of the core | p50 / p99 ms | 1 MiB answers, MB per CPU second | resident MiB, warm | KiB per idle connection | start to first 200, ms |",
                "|---|---:|---:|---:|---:|---:|---:|"]
    for target in of_kind(results):
        one, bodies = target["runs"].get("sat32"), target["runs"].get("body1m")
        cells = [
            f"{median(one, 'requests_per_s'):,.0f}" if one else "–",
            f"{median(one, 'p50_ms'):.2f} / {median(one, 'p99_ms'):.2f}" if one else "–",
            f"{median(bodies, 'mb_per_cpu_s'):,.0f}" if bodies else "–",
            f"{target['idle']['before_kib'] / 1024:.1f}", f"{target['idle']['kib_per_connection']:.1f}", f"{target['start_ms']:.0f}",
        ]
        yield f"| {emphasised(target['title'])} | " + " | ".join(cells) + " |"


def tls(results):
    cases = ran(results, "tls")
    if not cases:
        return
    yield from ["", "TLS 1.3 towards callers, an ECDSA P-256 certificate, X25519, AES-128-GCM; each handshake with one request:", ""]
    columns = [(case, "us_per_request", f"CPU µs per {results['cases'][case]}") for case in cases if case != "tls-body1m"]
    columns += [(case, "mb_per_cpu_s", "1 MiB answers, MB per CPU second") for case in cases if case == "tls-body1m"]
    yield from table(results, "", columns, "tls")


def grpc(results):
    cases = ran(results, "grpc")
    if cases:
        yield from ["", "HTTP/2 on both sides, calls and answers of 37 bytes, trailers with each answer:", ""]
        yield from per_request(results, cases, "grpc")


def workers(results):
    """Of how many times one worker's load two could carry."""
    cases = ran(results, "workers")
    one, two = (results["targets"].get(f"countersign-{name}", {"runs": {}})["runs"] for name in ("one", "two"))
    cases = [case for case in cases if case in one and case in two]
    if not cases:
        return
    yield from ["", "Two workers on two cores, which load and backend use as well (what two carry: the CPU per request of one by that of two, by the share of the busier one):", ""]
    yield "| | CPU µs per request, one worker | two workers | share of the busier one | two carry | requests/s beside the load, one and two |"
    yield "|---|---:|---:|---:|---:|---:|"
    for case in cases:
        alone, both, share = median(one[case], "us_per_request"), median(two[case], "us_per_request"), median(two[case], "busiest_share")
        # Of a round, in which both have their turns one after the other.
        rounds = list(zip(one[case], two[case]))
        quiet = [pair for pair in rounds if not any(run["noisy"] for run in pair)]
        carried = [a["us_per_request"] / b["us_per_request"] / b["busiest_share"] for a, b in quiet or rounds]
        times = f"{'' if quiet else '~'}{statistics.median(carried):.2f} [{min(carried):.2f}–{max(carried):.2f}] times as much"
        rates = " and ".join(f"{median(runs[case], 'requests_per_s'):,.0f}" for runs in (one, two))
        yield f"| {results['cases'][case]} | {alone:.1f} | {both:.1f} | {share:.1%} | {times} | {rates} |"


def of_kind(results, kind=None):
    """Targets are only compared with those of their kind."""
    return [target for target in results["targets"].values() if target.get("kind") == kind]


def ran(results, kind=None):
    """The cases that any target of a kind ran."""
    return [case for case in results["cases"] if any(case in target["runs"] for target in of_kind(results, kind))]


def per_request(results, cases, kind=None):
    """A row per target, a column per case."""
    return table(results, "CPU µs per request", [(case, "us_per_request", results["cases"][case]) for case in cases], kind)


def table(results, corner, columns, kind):
    """Columns: (case, figure, heading)."""
    yield f"| {corner} | " + " | ".join(heading for _, _, heading in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for target in of_kind(results, kind):
        cells = []
        for case, figure, _ in columns:
            runs = target["runs"].get(case)
            if not runs:
                cells.append("–")
                continue
            values = [run[figure] for run in clean(runs)]
            mark = "~" if all(run["noisy"] for run in runs) else ""
            form = "{:,.0f}" if statistics.median(values) >= 1000 else "{:.1f}"
            middle, least, most = (form.format(value) for value in (statistics.median(values), min(values), max(values)))
            cells.append(f"{mark}{middle} [{least}–{most}]")
        yield f"| {emphasised(target['title'])} | " + " | ".join(cells) + " |"


def summary(results):
    table = per_request(results, [case for case in SUMMARY if case in results["cases"]])
    return "\n".join([conditions(results), "", *table])


def emphasised(title):
    return f"**{title}**" if title.lower().startswith(OURS) else title


def svg(results, case="sat32"):
    """Bars, least first. Colours follow the reader's scheme."""
    rows = sorted(figures(results, case), key=lambda row: row[1])
    most, left, width, step = max(row[3] for row in rows), 320, 440, 26
    height = 58 + step * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 80} {height}" font-family="system-ui, sans-serif" font-size="13" '
        f'role="img" aria-label="CPU microseconds per request: {html.escape(results["cases"][case])}">',
        "<style>text{fill:#1f2328}.peer{fill:#9aa4ae}.ours{fill:#1a7f37}.spread{stroke:#1f2328}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.peer{fill:#6e7781}.ours{fill:#3fb950}.spread{stroke:#e6edf3}}</style>",
        f'<text x="8" y="22" font-weight="600">CPU µs per request: {html.escape(results["cases"][case])} (less is better)</text>',
    ]
    for number, (title, middle, least, greatest, _) in enumerate(rows):
        y = 40 + step * number
        kind = "ours" if title.lower().startswith(OURS) else "peer"
        scale = width / most
        parts.append(f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{html.escape(title)}</text>')
        parts.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{middle * scale:.1f}" height="18" rx="2"/>')
        parts.append(f'<path class="spread" d="M{left + least * scale:.1f} {y + 9}H{left + greatest * scale:.1f}"/>')
        parts.append(f'<text x="{left + greatest * scale + 6:.1f}" y="{y + 13}">{middle:.1f}</text>')
    about = results["about"]
    parts.append(f'<text x="8" y="{height - 4}" font-size="11">{about["date"]}, {html.escape(about["cpu"])}, one core, {results["rounds"]} rounds</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


FORMS = {"markdown": markdown, "summary": summary, "svg": svg}


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in FORMS:
        raise SystemExit(__doc__)
    with open(sys.argv[1]) as file:
        results = json.load(file)
    print(FORMS[sys.argv[2]](results).rstrip("\n"))


if __name__ == "__main__":
    main()
