"""Renders the charts with Helm, as the tests of this folder need it."""

import datetime
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import helm_python as helm
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHARTS = ROOT / "charts"
EXAMPLES = CHARTS / "examples"
PROGRAM = os.environ.get("COUNTERSIGN", str(ROOT / "target/debug/countersign"))
# What mounts hold in a cluster.
SECRETS = {
    "assertion.pem": (ROOT / "tests/fixtures/keys/es256-1.pem").read_bytes(),
    "client-secret": b"only for this test",
    "token": b"e30.e30.e30",
}


class Strict(yaml.SafeLoader):
    """YAML without duplicate keys, as the API server wants it."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"duplicate keys: {keys}"
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def load(path):
    return yaml.safe_load((HERE / path).read_text())


@cache
def chart(folder):
    return helm.Chart.load(folder)


def folder(example):
    return CHARTS / "countersign" if example == "standalone" else EXAMPLES / "app"


def lay(over, under):
    """As Helm lays values over values: mappings merge, the rest replaces."""
    if not (isinstance(over, dict) and isinstance(under, dict)):
        return over
    merged = under | {key: lay(value, under[key]) if key in under else value for key, value in over.items()}
    return {key: value for key, value in merged.items() if value is not None}


def values_of(row):
    """The example's values, with the row's laid over."""
    values = yaml.safe_load((EXAMPLES / f"{row['of']}.yaml").read_text())
    sidecar = row["of"] != "standalone"
    own = values["countersign-sidecar"] if sidecar else values
    for key in row.get("drop", []):
        own.pop(key)
    own = lay(row.get("values", {}), own)
    if row.get("text"):
        # What the chart adds to a mapping, a text has to say itself.
        config = own.pop("config") | {"probes": {"listen": "0.0.0.0:9091", "serve": ["livez"]}}
        own["configText"] = "# as it is\n" + yaml.safe_dump(config) + "end: true\n"
    return values | {"countersign-sidecar": own} if sidecar else own


def render(row):
    """All objects of a row, by kind and name."""
    texts = chart(folder(row["of"])).render(values_of(row), name=row["of"], namespace="prod")
    objects = {}
    for path, text in texts.items():
        if path.endswith(".txt"):
            assert "Countersign stands before" in text, text
            continue
        for document in yaml.load_all(text, Loader=Strict):
            if document:
                key = f"{document['kind']} {document['metadata']['name']}"
                assert key not in objects, f"twice: {key}"
                objects[key] = document
    return objects


def configuration(objects):
    (found,) = [one for one in objects.values() if "countersign.yaml" in one.get("data", {})]
    return found["data"]


def examples():
    return sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


@cache
def secret(name):
    if name in SECRETS:
        return SECRETS[name]
    # tls.crt and tls.key, as cert-manager would bring them.
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "smartem.test")])
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    )
    SECRETS["tls.crt"] = SECRETS["ca.crt"] = certificate.public_bytes(serialization.Encoding.PEM)
    SECRETS["tls.key"] = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SECRETS[name]


def check(data, where):
    """`countersign check` on a configuration as it is mounted, with mounts that stand where they do not here."""
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        mounts = place / "run"
        text = data["countersign.yaml"]
        for path in set(re.findall(r"/run/countersign/[-\w]+/[-.\w]+", text)):
            here = mounts / path.removeprefix("/run/countersign/")
            here.parent.mkdir(parents=True, exist_ok=True)
            here.write_bytes(secret(here.name))
            here.chmod(0o400)
        text = text.replace("/run/countersign/", f"{mounts}/").replace("/var/lib/countersign/", f"{place}/")
        for name, content in (data | {"countersign.yaml": text}).items():
            (place / name).write_text(content)
        done = subprocess.run([PROGRAM, "check", place / "countersign.yaml"], capture_output=True, text=True)
        assert done.returncode == 0 and "warning" not in done.stderr, f"{where}: {done.stdout}{done.stderr}"
