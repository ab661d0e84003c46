"""A certificate by ACME: Traefik, as the site configures it, gets one from an ACME server, serves it and keeps it."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.site import free_ports
from hub.settings import Settings
from hub.site import Site
from hub.supervise import parts
from hub.tls import ENTRY, traefik_folder

DOMAIN = "labs.academy.example"
PROOF = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # acmeIdentifier, RFC 8737


class Authority(ThreadingHTTPServer):
    """An ACME server (RFC 8555) for one domain, on loopback. It looks at the challenge, and not at signatures."""

    def __init__(self, site_port: int, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.site_port = site_port
        self.file = folder / "acme-server.pem"
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Academy ACME CA")])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.token = secrets.token_urlsafe(32)
        self.thumbprint = ""
        self.state = "pending"
        self.certificate = ""
        self.contacts: list[list[str]] = []
        self.orders: list[list[dict[str, str]]] = []

        self.speak_tls()

    def speak_tls(self) -> None:
        """Traefik insists on https: have a certificate, which `file` holds with its key."""
        me = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.file.write_text(self.signed(self.name, self.key.public_key(), me))
        with self.file.open("ab") as stream:
            stream.write(self.key.private_bytes(*form))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def prove(self) -> None:
        """Ask the site for the challenge's proof, by TLS-ALPN-01 (RFC 8737)."""
        der = certificate_at(self.site_port, "acme-tls/1").public_bytes(serialization.Encoding.DER)
        extension = x509.load_der_x509_certificate(der).extensions.get_extension_for_oid(PROOF).value
        wanted = hashlib.sha256(f"{self.token}.{self.thumbprint}".encode()).digest()
        assert isinstance(extension, x509.UnrecognizedExtension)
        self.state = "valid" if extension.value == b"\x04\x20" + wanted else "invalid"

    def sign(self, request: x509.CertificateSigningRequest) -> None:
        """Make the certificate that was asked for."""
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.certificate = self.signed(x509.Name([]), request.public_key(), names)

    def signed(self, subject: x509.Name, key: Any, names: x509.SubjectAlternativeName) -> str:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(self.name, subject, key, x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=90))
        made = made.add_extension(names, critical=not list(subject))
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


class Answers(BaseHTTPRequestHandler):
    """What is asked, and what is answered."""

    protocol_version = "HTTP/1.1"
    server: Authority

    def do_GET(self) -> None:
        names = {name: f"{self.server.url}/{name}" for name in ("newNonce", "newAccount", "newOrder")}
        self.answer(200, names)

    def do_HEAD(self) -> None:
        self.answer(200, "")

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        payload = json.loads(decoded(sent["payload"]) or b"{}")
        ca, path = self.server, self.path
        if path == "/newAccount":
            key = json.loads(decoded(sent["protected"]))["jwk"]
            whole = json.dumps({name: key[name] for name in thumbprint_keys(key)}, separators=(",", ":"))
            ca.thumbprint = encoded(hashlib.sha256(whole.encode()).digest())
            ca.contacts.append(payload["contact"])
            self.answer(201, {"status": "valid"}, "account")
        elif path == "/newOrder":
            ca.orders.append(payload["identifiers"])
            self.answer(201, self.order(), "order")
        elif path == "/challenge":
            ca.prove()
            self.answer(200, self.challenge())
        elif path == "/authorization":
            who = {"type": "dns", "value": DOMAIN}
            self.answer(200, {"status": ca.state, "identifier": who, "challenges": [self.challenge()]})
        elif path == "/finalize":
            ca.sign(x509.load_der_x509_csr(decoded(payload["csr"])))
            self.answer(200, self.order(), "order")
        elif path == "/certificate":
            self.answer(200, ca.certificate)
        else:
            self.answer(200, self.order())

    def challenge(self) -> dict[str, str]:
        ca = self.server
        return {"type": "tls-alpn-01", "url": f"{ca.url}/challenge", "token": ca.token, "status": ca.state}

    def order(self) -> dict[str, Any]:
        ca = self.server
        status = "valid" if ca.certificate else "ready" if ca.state == "valid" else ca.state
        return {
            "status": status,
            "identifiers": ca.orders[0],
            "authorizations": [f"{ca.url}/authorization"],
            "finalize": f"{ca.url}/finalize",
            "certificate": f"{ca.url}/certificate",
        }

    def answer(self, status: int, body: dict[str, Any] | str, location: str = "") -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Replay-Nonce", secrets.token_urlsafe(16))
        if location:
            self.send_header("Location", f"{self.server.url}/{location}")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def thumbprint_keys(key: dict[str, str]) -> tuple[str, ...]:
    """What of a key goes into its thumbprint, in order (RFC 7638)."""
    return ("e", "kty", "n") if key["kty"] == "RSA" else ("crv", "kty", "x", "y")


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def certificate_at(port: int, protocol: str = "http/1.1") -> x509.Certificate:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=DOMAIN) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der)


@pytest.fixture
def port() -> int:
    return free_ports(2)[0]


@pytest.fixture
def ca(tmp_path: Path, port: int) -> Iterator[Authority]:
    with Authority(port, tmp_path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_certificate_is_got_served_and_kept(tmp_path: Path, port: int, ca: Authority) -> None:
    tls = {"domain": DOMAIN, "acme_email": "ops@academy.example", "acme_server": f"{ca.url}/directory"}
    settings = Settings.model_validate(
        {"root": tmp_path, "hub": {"port": port}, "tls": {**tls, "redirect_port": 0}}
    )
    traefik, _hub = parts(settings, Site("process", "", "127.0.0.1", 1, 2, port + 1, False), None)
    traefik.env["SSL_CERT_FILE"] = str(ca.file)  # as if this machine trusted the server
    # as the hub's, by any path: Traefik asks for certificates that some route is for
    (traefik_folder(settings) / "routes.toml").write_text(
        f'[http.routers.all]\nrule = "PathPrefix(`/`)"\nservice = "api@internal"\nentryPoints = ["{ENTRY}"]\n'
    )
    kept = settings.places.secrets / "acme.json"

    def served() -> bool:
        try:
            return certificate_at(port).issuer == ca.name
        except OSError:
            return False  # it is starting

    try:
        traefik.start()
        wait_until(served, traefik.last_words)
        traefik.stop()
        traefik.start()
        wait_until(served, traefik.last_words)
    finally:
        traefik.stop()

    assert ca.contacts == [["mailto:ops@academy.example"]]
    assert ca.orders == [[{"type": "dns", "value": DOMAIN}]]  # the second start asked for none
    assert kept.stat().st_mode & 0o777 == 0o600


def wait_until(true: Callable[[], bool], tell: Callable[[], str], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, tell()
        time.sleep(0.1)
