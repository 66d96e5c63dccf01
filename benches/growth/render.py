#!/usr/bin/env python3
"""Turns growth.json into tables.

    render.py RESULTS.json
"""

import json
import statistics
import sys


def markdown(results):
    about = results["about"]
    yield (f"{about['date']}; Countersign {about['version']}; {about['cpu']}, Linux {about['kernel']}. One worker on one core. CPU: median "
           f"[least–most] of {results['rounds']} interleaved rounds of {results['seconds']} s; `~`: other work was on the core in every round.")
    if "requests" in results:
        yield ""
        yield from requests(results["requests"])
    if "reload" in results:
        yield ""
        yield from reload(results["reload"])
    if "burst" in results:
        yield ""
        yield from burst(results["burst"])


def requests(found):
    yield "| what grows | size | instructions per request | beside the first | CPU µs per request | found in the token cache |"
    yield "|---|---:|---:|---:|---:|---:|"
    for growth in found.values():
        first = growth["sizes"][0].get("instructions")
        for row in growth["sizes"]:
            count = row.get("instructions")
            runs = [run for run in row["runs"] if not run["noisy"]] or row["runs"]
            times = [run["us"] for run in runs]
            mark = "~" if all(run["noisy"] for run in row["runs"]) else ""
            yield "| " + " | ".join([
                growth["title"], f"{row['size']:,}", f"{count:,.0f}" if count else "–", f"{(count / first - 1) * 100:+.1f} %" if count else "–",
                f"{mark}{statistics.median(times):.1f} [{min(times):.1f}–{max(times):.1f}]" if times else "–",
                f"{row['hits'] * 100:.0f} %" if "hits" in row else "–",
            ]) + " |"


def reload(found):
    def spread(values):
        return f"{statistics.median(values):.1f} [{min(values):.1f}–{max(values):.1f}]"

    taken = found["reloads"]
    yield (f"{len(taken)} reloads of {found['routes']:,} routes ({found['kib']:,.0f} KiB), {found['pause_ms']:.0f} ms after one another, at "
           f"{found['pace']:,} requests/s, all on one core: {spread([one['control_ms'] for one in taken])} ms of CPU on the control thread, "
           f"{spread([one['compiling_ms'] for one in taken])} on the thread that compiles, {spread([one['wall_ms'] for one in taken])} ms from "
           "the signal to the new policy.")
    yield ""
    yield "| latency, ms (median of the rounds) | p50 | p99 | p99.9 | most |"
    yield "|---|---:|---:|---:|---:|"
    for title, kind in (("without reloads", "without"), ("with", "with")):
        runs = [run for run in found[kind] if not run["noisy"]] or found[kind]
        mark = "~" if all(run["noisy"] for run in runs) else ""
        cells = [f"{mark}{statistics.median(run[key] for run in runs) / 1e3:.2f}" for key in ("p50", "p99", "p999", "lat_max")]
        yield f"| {title} | " + " | ".join(cells) + " |"


def burst(found):
    yield f"| {found['connections']:,} connections, MiB resident (anonymous) | before | at the peak | all closed | upstream's closed as well | 10 s later | beside before |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for number, row in enumerate(found["bursts"], 1):
        cells = [f"{row[name][0] / 1024:.1f} ({row[name][1] / 1024:.1f})" for name in ("before", "peak", "closed", "after", "later")]
        growth = [(row["later"][kind] - row["before"][kind]) / 1024 for kind in (0, 1)]
        yield f"| burst {number} | " + " | ".join(cells) + f" | {growth[0]:+.1f} ({growth[1]:+.1f}) |"


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with open(sys.argv[1]) as file:
        print("\n".join(markdown(json.load(file))))


if __name__ == "__main__":
    main()
