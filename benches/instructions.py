"""Shows what benches/instructions.sh counted beside what is on record; `--record` makes it the record."""

import json
import pathlib
import subprocess
import sys

RECORD = pathlib.Path(__file__).with_name("instructions.json")


def main(counts: str, *options: str) -> None:
    lines = pathlib.Path(counts).read_text().splitlines()
    now = {name: int(count) for name, count in (line.split("\t") for line in lines)}
    before = json.loads(RECORD.read_text())["instructions"] if RECORD.exists() else {}
    width = max(map(len, now))
    for name, count in now.items():
        change = f"{(count / before[name] - 1) * 100:+6.1f} %" if name in before else "     new"
        print(f"{name:{width}}  {count:>9,}  {change}")
    for name in before.keys() - now.keys():
        print(f"{name:{width}}  not counted any more")
    if "--record" in options:
        compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        RECORD.write_text(json.dumps({"compiler": compiler, "instructions": now}, indent=2) + "\n")


main(*sys.argv[1:])
