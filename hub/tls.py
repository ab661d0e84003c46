"""The site by https: what its certificate must be, what Traefik is told of it, and how a renewed one is taken up."""

from __future__ import annotations

import contextlib
import json
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hub.settings import Settings, in_url
from hub.wholefile import write_whole

HSTS_S = 365 * 24 * 3600
SOON = timedelta(days=14)
SETTLED_S = 1.0  # certificate and key are replaced one after the other
ENTRY = "site"  # Traefik's name for where people come in
_PLAIN = "plain"
_RESOLVER = "acme"
_LARGEST = 1 << 20

Say = Callable[[str], None]


class CertificateError(Exception):
    """The certificate cannot be served; `what` is wrong and the `remedy`."""

    def __init__(self, what: str, remedy: str) -> None:
        """A sentence each, the first without a full stop."""
        super().__init__(f"{what}. {remedy}.")
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True)
class Certificate:
    """The operator's own: PEM of the chain and of the key, the names in it, and when it ends."""

    chain: str
    key: str
    names: tuple[str, ...]
    ends: datetime


def read_certificate(settings: Settings) -> Certificate:
    """Read and check `tls.certificate_file` and `tls.key_file`. Raises CertificateError."""
    chain_file, key_file = own_files(settings)
    chain, key = _read("tls.certificate_file", chain_file), _read("tls.key_file", key_file)
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise CertificateError(
            f"tls.certificate_file: {chain_file}: no certificate in PEM form",
            "It begins with -----BEGIN CERTIFICATE-----; openssl x509 -inform der makes it of a binary one",
        ) from None
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it needs a password
        locked = isinstance(error, TypeError)
        raise CertificateError(
            f"tls.key_file: {key_file}: "
            + ("the key is locked with a password" if locked else "no private key in PEM form"),
            "Name a copy without one, mode 0600: openssl pkey -in KEY -out COPY"
            if locked
            else "Name the file that begins with -----BEGIN PRIVATE KEY-----",
        ) from None
    first = certificates[0]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != first.public_key().public_bytes(*form):
        raise CertificateError(
            f"tls.key_file: {key_file}: the key does not belong to the first certificate in {chain_file}",
            "Name the two that were made together; the site's own certificate comes first in its file",
        )
    now = datetime.now(UTC)
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        ended = first.not_valid_after_utc < now
        when = first.not_valid_after_utc if ended else first.not_valid_before_utc
        raise CertificateError(
            f"tls.certificate_file: {chain_file}: the certificate {'ended' if ended else 'begins'} on {when:%Y-%m-%d}",
            "Renew it" if ended else "Check the machine's clock, or wait until then",
        )
    # written anew: what else a file has, such as text between the parts, is nothing for Traefik's templates
    return Certificate(
        "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates),
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        _names(first),
        first.not_valid_after_utc,
    )


def flaws(settings: Settings) -> list[tuple[str, str, str]]:
    """What is wrong with the site's own certificate: what, its consequence, the remedy."""
    if not settings.tls.certificate_file:
        return []
    try:
        return doubts(settings, read_certificate(settings))
    except CertificateError as error:
        return [(error.what, "the site cannot start", error.remedy)]


def doubts(settings: Settings, certificate: Certificate) -> list[tuple[str, str, str]]:
    """The same, of a certificate that can be served."""
    found = []
    chain_file, key_file = own_files(settings)
    left = certificate.ends - datetime.now(UTC)
    if left < SOON:
        what = f"tls.certificate_file: {chain_file}: the certificate ends on {certificate.ends:%Y-%m-%d}"
        remedy = "renew it; a site that is up takes the new one up by itself"
        found.append((what, f"in {left.days} days browsers refuse the site", remedy))
    domain = settings.tls.domain.lower()
    if domain and not {domain, f"*.{domain.partition('.')[2]}"} & set(certificate.names):
        names = ", ".join(certificate.names) or "no name"
        what = f"tls.domain: {domain} is not in {chain_file}, which is for {names}"
        remedy = "get a certificate for that name, or set tls.domain to a name that is in it"
        found.append((what, "browsers refuse the site", remedy))
    if stat.S_IMODE(key_file.stat().st_mode) & 0o007:
        what = f"tls.key_file: {key_file}: every user of this machine may read it"
        found.append((what, "who has it can pose as the site", f"`chmod 600 {key_file}`"))
    return found


def own_files(settings: Settings) -> tuple[Path, Path]:
    """Certificate and key, as the settings name them."""
    return settings.root / settings.tls.certificate_file, settings.root / settings.tls.key_file


def _read(key: str, file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST)
    except OSError as error:
        raise CertificateError(
            f"{key}: {file}: {error.strerror or error}", "Name a file that this user can read"
        ) from error


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    with contextlib.suppress(x509.ExtensionNotFound):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(
            [name.lower() for name in names.get_values_for_type(x509.DNSName)]
            + [str(address) for address in names.get_values_for_type(x509.IPAddress)]
        )
    return ()


# What Traefik is told


def traefik_folder(settings: Settings) -> Path:
    """Where Traefik looks for what may change while it runs: the hub's routes, and the certificate."""
    return settings.places.run / "traefik"


def listening(settings: Settings) -> dict[str, Any]:
    """Traefik's static configuration of what people reach."""
    tls, host = settings.tls, in_url(settings.hub.host)
    entry: dict[str, Any] = {"address": f"{host}:{settings.hub.port}"}
    points = {ENTRY: entry}
    if not tls.is_on:
        return {"entryPoints": points}
    entry["http"] = {"tls": {"options": "default"}, "middlewares": ["hsts@file"]}
    if tls.redirect_port:
        to = {"to": ENTRY, "scheme": "https"}
        points[_PLAIN] = {
            "address": f"{host}:{tls.redirect_port}",
            "http": {"redirections": {"entryPoint": to}},
        }
    if not tls.acme_email:
        return {"entryPoints": points}
    entry["http"]["tls"] |= {"certResolver": _RESOLVER, "domains": [{"main": tls.domain}]}
    acme = {
        "email": tls.acme_email,
        "caServer": tls.acme_server,
        "storage": str(settings.places.secrets / "acme.json"),
        "tlsChallenge": {},  # by the site's own port: the plain one may be closed
    }
    return {"entryPoints": points, "certificatesResolvers": {_RESOLVER: {"acme": acme}}}


def write(settings: Settings) -> Certificate | None:
    """Write what Traefik serves from now on; return the site's own certificate. Raises CertificateError.

    Traefik watches the file and not the certificate's: it gets both in one file, so that it never serves a certificate
    with the key of another.
    """
    folder = traefik_folder(settings)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / "tls.yaml"
    if not settings.tls.is_on:
        file.unlink(missing_ok=True)
        return None
    tls: dict[str, Any] = {"options": {"default": {"minVersion": "VersionTLS12"}}}
    certificate = read_certificate(settings) if settings.tls.certificate_file else None
    if certificate:
        pair = {"certFile": certificate.chain, "keyFile": certificate.key}
        tls["stores"] = {"default": {"defaultCertificate": pair}}
    else:
        settings.places.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    hsts = {"headers": {"stsSeconds": HSTS_S}}
    # JSON is YAML; without the indent Traefik would take two braces in a row for a template
    said = json.dumps({"http": {"middlewares": {"hsts": hsts}}, "tls": tls}, indent=1)
    write_whole(file, said, mode=0o600)
    return certificate


class Renewal:
    """Sees that the site's own certificate was replaced, and has the new one served."""

    def __init__(self, settings: Settings, say: Say) -> None:
        """What is there now is served already."""
        self._settings = settings
        self._say = say
        self._seen = self._stamps()
        self._changed_at: float | None = None

    def look(self) -> None:
        """Take up files that changed and then stayed as they are for a moment; a bad pair is told, and not served."""
        if not self._settings.tls.certificate_file:
            return
        stamps, now = self._stamps(), time.monotonic()
        if stamps != self._seen:
            self._seen, self._changed_at = stamps, now
        if self._changed_at is None or now - self._changed_at < SETTLED_S:
            return
        self._changed_at = None
        try:
            certificate = write(self._settings)
        except CertificateError as error:
            self._say(f"{error} Until then the certificate of before is served.")
            return
        if certificate:
            self._say(f"a new certificate is served, valid until {certificate.ends:%Y-%m-%d}")

    def _stamps(self) -> list[tuple[int, int, int]]:
        found = []
        for file in own_files(self._settings):
            with contextlib.suppress(OSError):
                status = file.stat()
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return found
