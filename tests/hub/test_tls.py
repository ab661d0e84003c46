"""A site by https: its own certificate, cookies, redirects, and what is said of a certificate that is no use."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
import websocket
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.site import DemoSite, free_ports
from hub.settings import Settings, SettingsError, TlsSettings, load_settings
from hub.tls import flaws, traefik_folder, write

Visit = Callable[[DemoSite, str], Any]
DOMAIN = "labs.academy.example"


class Authority:
    """A certificate authority; its certificate is in `file`."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Academy CA")])
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.sign(self.name, self.key, 3650, x509.BasicConstraints(True, None)))

    def sign(self, name: x509.Name, key: Any, days: float, extension: x509.ExtensionType) -> bytes:
        """A certificate for `key` that ends in so many days, as PEM."""
        ends = datetime.now(UTC) + timedelta(days=days)
        made = x509.CertificateBuilder(self.name, name, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(ends - timedelta(days=3650)).not_valid_after(ends)
        made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, folder: Path, days: float = 90, names: tuple[str, ...] = (DOMAIN,)) -> int:
        """Write site.pem and site.key; returns the serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        names_in_it = [x509.DNSName(name) for name in names]
        loopback = x509.IPAddress(ip_address("127.0.0.1"))
        pem = self.sign(x509.Name([]), key, days, x509.SubjectAlternativeName([*names_in_it, loopback]))
        (folder / "site.pem").write_bytes(pem)
        (folder / "site.key").write_bytes(key_pem(key))
        (folder / "site.key").chmod(0o600)
        return x509.load_pem_x509_certificate(pem).serial_number


def key_pem(key: Any, lock: serialization.KeySerializationEncryption | None = None) -> bytes:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return bytes(key.private_bytes(*form, lock or serialization.NoEncryption()))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def plain_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, plain_port: int
) -> Iterator[DemoSite]:
    """A demo site with a certificate of its own."""
    folder = tmp_path_factory.mktemp("tls")
    authority.issue(folder)
    tls = (
        f'[tls]\ndomain = "{DOMAIN}"\ncertificate_file = "site.pem"\nkey_file = "site.key"\n'
        f"redirect_port = {plain_port}"
    )
    with DemoSite(folder, "process", hub=tls, authority=authority.file) as site:
        yield site


def test_people_open_a_lab_by_https_and_every_cookie_is_for_https_alone(
    site: DemoSite, visit: Visit, authority: Authority
) -> None:
    cookies: list[str] = []
    alice = visit(site, "alice")
    alice.http.event_hooks["response"].append(
        lambda answer: cookies.extend(answer.headers.get_list("set-cookie"))
    )

    page = alice.login()
    home = alice.start_server()["url"]
    # through the server's own login; it fetches the lab inside the machine
    lab = alice.http.get(f"{home}ictlab/open", params={"course": "ict101", "lab": "net-subnetting"})
    line = websocket.create_connection(
        f"{site.url.replace('http', 'ws')}{home}api/events/subscribe",
        cookie="; ".join(f"{c.name}={c.value}" for c in alice.http.cookies.jar if home.startswith(c.path)),
        origin=site.url,
        sslopt={"ca_certs": str(authority.file)},
        timeout=20,
    )
    line.ping()
    pong = line.recv_data(control_frame=True)[0]
    line.close()
    alice.stop_server()

    assert (page.status_code, page.url.path) == (200, "/services/portal/")
    assert (lab.status_code, lab.url.path) == (
        200,
        f"{home}lab/tree/ict101/net-subnetting/net-subnetting.ipynb",
    )
    assert pong == websocket.ABNF.OPCODE_PONG
    assert {str(each.url.scheme) for each in [*page.history, page, *lab.history, lab]} == {"https"}
    given = [cookie for cookie in cookies if '=""' not in cookie]  # the others are taken away
    names = {cookie.partition("=")[0] for cookie in given}
    assert {"ictlabs-portal", "jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf"} <= names
    assert any(name.startswith("jupyterhub-user-alice") for name in names)
    assert any("path=/user/alice/base/" in cookie.lower() for cookie in given)
    assert [cookie for cookie in given if "; secure" not in cookie.lower()] == []


def test_the_address_that_people_type_is_told(site: DemoSite) -> None:
    assert f" is up:  https://{DOMAIN}:{site.port}\n" in site.text()


@pytest.mark.parametrize("path", ["/hub/login", "/services/portal/health"])
def test_browsers_are_told_once_to_come_by_https_only(site: DemoSite, path: str) -> None:
    answer = httpx.get(f"{site.url}{path}", verify=site.trust)

    assert answer.status_code == 200
    assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]


def test_plain_http_on_its_own_port_is_sent_to_https(site: DemoSite, plain_port: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{plain_port}/services/portal/labs?at=1")

    assert answer.status_code in {301, 308}
    assert answer.headers["location"] == f"https://127.0.0.1:{site.port}/services/portal/labs?at=1"


def test_plain_http_on_the_port_of_https_gets_nothing(site: DemoSite) -> None:
    answer = httpx.get(f"http://127.0.0.1:{site.port}/services/portal/health")

    assert answer.status_code in {400, 404}
    assert "set-cookie" not in answer.headers


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # that it is old is the point
@pytest.mark.parametrize(
    ("version", "spoken"), [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)]
)
def test_old_tls_is_refused(site: DemoSite, version: ssl.TLSVersion, spoken: bool) -> None:
    context = anybody()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version

    try:
        answered = served(site.port, context)
    except ssl.SSLError as error:
        answered = None
        assert error.reason == "TLSV1_ALERT_PROTOCOL_VERSION"  # the site's answer, not this client's own

    assert bool(answered) == spoken


def test_a_renewed_certificate_is_served_and_half_of_one_is_not(site: DemoSite, authority: Authority) -> None:
    before = served(site.port).serial_number

    renewed = authority.issue(site.folder)
    wait_until(lambda: served(site.port).serial_number != before)
    (site.folder / "site.key").write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1())))
    wait_until(lambda: "does not belong to the first certificate" in site.text())

    assert served(site.port).serial_number == renewed
    assert site.answers()
    assert "Until then the certificate of before is served" in site.text()


def test_keys_are_for_this_user_alone(site: DemoSite) -> None:
    file = site.folder / "var" / "run" / "traefik" / "tls.yaml"

    assert "PRIVATE KEY" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" not in "".join(
        file.read_text() for file in (site.folder / "var" / "logs").glob("*.log")
    )


# Settings and certificates that are no use


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('certificate_file = "a.pem"', "certificate_file: is set, but key_file is not"),
        ('key_file = "a.key"', "key_file: is set, but certificate_file is not"),
        (
            'certificate_file = "a"\nkey_file = "b"\nacme_email = "ops@academy.example"\ndomain = "a.example"',
            "certificate_file, acme_email: both are set",
        ),
        (f'domain = "{DOMAIN}"', "domain: https needs a certificate"),
        ('acme_email = "ops@academy.example"', "acme_email: no domain"),
        (f'acme_email = "ops"\ndomain = "{DOMAIN}"', "acme_email: no e-mail address"),
        ('acme_email = "a@b.example"\ndomain = "https://a.example"', "https://a.example is no host name"),
        ('acme_email = "a@b.example"\ndomain = "10.0.0.1"', "10.0.0.1 is no host name"),
        ('acme_email = "a@b.example"\ndomain = "*.b.example"', "*.b.example is no host name"),
        ('acme_server = "http://ca.example/directory"', "acme_server: no https:// URL"),
        (
            'certificate_file = "a"\nkey_file = "b"\nredirect_port = 8000',
            "tls.redirect_port, hub.port: both are 8000",
        ),
    ],
)
def test_contradictions_are_named_with_their_file_and_key(tmp_path: Path, lines: str, said: str) -> None:
    file = tmp_path / "ictlabs.toml"
    file.write_text(f"[tls]\n{lines}\n")

    with pytest.raises(SettingsError) as refused:
        load_settings(file)

    assert str(file) in str(refused.value)
    assert said in str(refused.value)


def own(folder: Path, domain: str = "") -> Settings:
    return Settings(
        root=folder,
        tls=TlsSettings(domain=domain, certificate_file="site.pem", key_file="site.key", redirect_port=0),
    )


def spoil_nothing(_folder: Path) -> None:
    pass


def lock_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "site.key").write_bytes(key_pem(key, serialization.BestAvailableEncryption(b"secret")))


def other_key(folder: Path) -> None:
    (folder / "site.key").write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.parametrize(
    ("days", "spoil", "domain", "said", "consequence"),
    [
        (90, lambda f: (f / "site.pem").unlink(), "", "site.pem: No such file", "cannot start"),
        (90, lambda f: (f / "site.key").unlink(), "", "site.key: No such file", "cannot start"),
        (90, lambda f: (f / "site.pem").write_text("x"), "", "no certificate in PEM form", "cannot start"),
        (90, lambda f: (f / "site.key").write_text("x"), "", "no private key in PEM form", "cannot start"),
        (90, lock_key, "", "locked with a password", "cannot start"),
        (90, other_key, "", "does not belong to the first certificate", "cannot start"),
        (-1, spoil_nothing, "", "the certificate ended on", "cannot start"),
        (3660, spoil_nothing, "", "the certificate begins on", "cannot start"),
        (10, spoil_nothing, "", "the certificate ends on", "in 9 days browsers refuse"),
        (90, spoil_nothing, "www.academy.example", f"which is for {DOMAIN}, 127.0.0.1", "browsers refuse"),
        (90, lambda f: (f / "site.key").chmod(0o644), "", "may read it", "pose as the site"),
    ],
)
def test_a_certificate_that_is_no_use_is_told_with_its_file_and_a_remedy(  # noqa: PLR0917 (a table)
    tmp_path: Path,
    authority: Authority,
    days: float,
    spoil: Callable[[Path], object],
    domain: str,
    said: str,
    consequence: str,
) -> None:
    authority.issue(tmp_path, days)
    spoil(tmp_path)

    found = flaws(own(tmp_path, domain))

    assert len(found) == 1
    assert said in found[0][0]
    assert str(tmp_path) in found[0][0]
    assert consequence in found[0][1]
    assert found[0][2]


@pytest.mark.parametrize("domain", ["", DOMAIN, DOMAIN.upper(), "x.sub.academy.example"])
def test_nothing_is_said_of_a_good_certificate(tmp_path: Path, authority: Authority, domain: str) -> None:
    authority.issue(tmp_path, names=(DOMAIN, "*.sub.academy.example"))

    assert flaws(own(tmp_path, domain)) == []


@pytest.mark.parametrize("command", ["up", "doctor"])
def test_a_certificate_that_ended_is_told_by_the_command(
    tmp_path: Path, authority: Authority, command: str
) -> None:
    authority.issue(tmp_path, days=-1)
    (tmp_path / "ictlabs.toml").write_text(
        f'[hub]\nspawner = "process"\nport = {free_ports(4)[0]}\n'
        '[tls]\ncertificate_file = "site.pem"\nkey_file = "site.key"\nredirect_port = 0\n'
    )

    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", "--settings", str(tmp_path / "ictlabs.toml"), command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == (1 if command == "up" else 0)
    assert f"{tmp_path}/site.pem: the certificate ended on" in done.stdout + done.stderr
    assert "Renew it" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_what_else_is_in_a_file_does_not_reach_the_templates_of_traefik(
    tmp_path: Path, authority: Authority
) -> None:
    authority.issue(tmp_path)
    for file in (tmp_path / "site.pem", tmp_path / "site.key"):
        file.write_bytes(b"Bag Attributes: {{ env `HOME` }} \xe9\n" + file.read_bytes())

    write(own(tmp_path))

    assert "{{" not in (traefik_folder(own(tmp_path)) / "tls.yaml").read_text()


def test_a_site_that_goes_back_to_plain_http_forgets_the_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    authority.issue(tmp_path)
    write(own(tmp_path))
    file = traefik_folder(own(tmp_path)) / "tls.yaml"
    assert file.exists()

    write(Settings(root=tmp_path))

    assert not file.exists()


def anybody() -> ssl.SSLContext:
    """For a look at whatever certificate is served."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def served(port: int, context: ssl.SSLContext | None = None) -> x509.Certificate:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        (context or anybody()).wrap_socket(plain) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der)


def wait_until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
