"""Every knob of an ICT Labs site: typed, frozen, documented; one table per package, read from ictlabs.toml."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from grader.names import is_email
from grader.settings import Closed, GraderSettings, Places


class SettingsError(Exception):
    """ictlabs.toml cannot be used; the message names the file, the key and what to do."""


class SiteSettings(Closed):
    """The [site] table: what the academy is and where it keeps its data."""

    name: str = Field(default="ICT Labs", description="The academy's name, shown on every page.")
    data_dir: Path = Field(default=Path("var"), description="Folder of all data; relative to ictlabs.toml.")
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL of the record; empty means SQLite in data_dir."
    )
    timezone: str = Field(default="UTC", description="IANA time zone in which due times are shown.")


class HubSettings(Closed):
    """The [hub] table: entry, servers and their limits."""

    host: str = Field(
        default="127.0.0.1", description="Address the site listens on. Process mode allows loopback only."
    )
    port: int = Field(default=8000, ge=1, le=65535, description="Port the site listens on.")
    spawner: Literal["auto", "docker", "swarm", "process"] = Field(
        default="auto",
        description="docker: containers. swarm: on many machines. process: local. auto: docker where an Engine answers.",
    )
    image_prefix: str = Field(default="ictlabs", description="Images are named PREFIX/ENVIRONMENT:VERSION.")
    network: str = Field(
        default="ictlabs", description="Docker network of students' servers; made when missing."
    )
    placement: dict[str, tuple[str, ...]] = Field(
        default={},
        description="Swarm: constraints on the nodes of an environment, as in docker service create --constraint.",
    )
    internet: bool = Field(default=False, description="Let students' containers reach the internet.")
    memory_mb: int = Field(default=1024, gt=0, description="Memory of a student's server, in MiB.")
    cpus: float = Field(default=2.0, gt=0, description="CPU cores a student's server may use at most.")
    pids: int = Field(default=512, gt=0, description="Processes of a student's server.")
    home_mb: int = Field(
        default=2048,
        ge=0,
        description="What a home may hold, in MiB: watched, with notices, and no file may be larger. 0: no limit.",
    )
    home_look_s: int = Field(
        default=180, gt=0, description="Seconds between two looks at the home of a running server."
    )
    start_timeout_s: int = Field(
        default=90, gt=0, description="Time a student's server may take to start, in seconds."
    )
    concurrent_starts: int = Field(
        default=0,
        ge=0,
        description="Servers that the portal starts at once; the others queue. 0 is two for each core.",
    )
    portal_apart: bool = Field(
        default=False,
        description="The portal is started by `ict portal`, as compose.yaml does it, and not by the hub.",
    )
    idle_s: int = Field(
        default=3600,
        ge=0,
        description="Seconds without anybody at work after which a server is stopped; files stay. 0: never.",
    )
    open_signup: bool = Field(
        default=True, description="Show the sign-up page. Accounts still need approval."
    )
    min_password_chars: int = Field(default=10, ge=8, description="Shortest password allowed.")
    failed_logins: int = Field(
        default=5, gt=0, description="Wrong passwords before an account is locked for a while."
    )
    lockout_s: int = Field(default=600, gt=0, description="How long a lock-out lasts, in seconds.")
    admins: tuple[str, ...] = Field(default=(), description="People who may do everything on the hub.")

    @property
    def starts_at_once(self) -> int:
        """`concurrent_starts`, worked out for this machine."""
        return self.concurrent_starts or 2 * len(os.sched_getaffinity(0))


class PortalSettings(Closed):
    """The [portal] table: the pages."""

    session_h: int = Field(default=12, gt=0, description="Hours before a person logs in to the portal again.")
    language: str = Field(
        default="en",
        description="Language of the pages for browsers that ask for none there is: en, fr, es, ar, zh_Hans.",
    )
    audit_days: int = Field(default=400, gt=0, description="Days that a line of the audit log is kept.")


class MailSettings(Closed):
    """The [mail] table: where e-mail is handed in."""

    host: str = Field(default="", description="SMTP server that takes our e-mail; empty: no e-mail is sent.")
    port: int = Field(default=587, ge=1, le=65535, description="Port of the SMTP server.")
    starttls: bool = Field(
        default=True, description="Encrypt the connection; a server that cannot is refused."
    )
    user: str = Field(default="", description="Name to log in with at the SMTP server; empty: no login.")
    password_file: str = Field(
        default="", description="File with the password of that name; relative to ictlabs.toml."
    )
    sender: str = Field(
        default="", description="Address that e-mail comes from, such as labs@academy.example."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.host and not is_email(self.sender):
            raise ValueError("sender: host is set, so e-mail needs an address that it comes from")
        if self.user and not (self.starttls and self.password_file):
            raise ValueError("user: needs password_file, and starttls = true to keep the password unread")
        return self


_DOMAIN = re.compile(
    r"(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?=[0-9-]*[a-z])(?!-)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE
)


class TlsSettings(Closed):
    """The [tls] table: the site by https, with the operator's own certificate or one that is got by ACME."""

    domain: str = Field(
        default="", description="Name that people type, such as labs.academy.example; ACME needs it."
    )
    certificate_file: str = Field(
        default="",
        description="Own certificate: PEM file, the site's first, then those up to its CA; relative to ictlabs.toml.",
    )
    key_file: str = Field(
        default="", description="Own certificate's private key: PEM file; relative to ictlabs.toml."
    )
    acme_email: str = Field(
        default="", description="Address that the CA may write to; set it to get the certificate by ACME."
    )
    acme_server: str = Field(
        default="https://acme-v02.api.letsencrypt.org/directory",
        description="Directory URL of the ACME server; by default Let's Encrypt's.",
    )
    redirect_port: int = Field(
        default=80,
        ge=0,
        le=65535,
        description="Plain HTTP port whose requests are sent to https. 0: none.",
    )

    @property
    def is_on(self) -> bool:
        """Whether the site is reached by https."""
        return bool(self.certificate_file or self.acme_email)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.certificate_file) != bool(self.key_file):
            there, other = ("certificate_file", "key_file")[:: 1 if self.certificate_file else -1]
            raise ValueError(f"{there}: is set, but {other} is not. Name both files")
        if self.certificate_file and self.acme_email:
            raise ValueError("certificate_file, acme_email: both are set. Keep the one, remove the other")
        if self.domain and not self.is_on:
            raise ValueError(
                "domain: https needs a certificate. Set certificate_file and key_file, or acme_email"
            )
        if self.domain and not _DOMAIN.fullmatch(self.domain):
            raise ValueError(f"domain: {self.domain} is no host name. Write it without https:// and port")
        if self.acme_email and not (self.domain and is_email(self.acme_email)):
            what = "no domain" if not self.domain else "no e-mail address"
            raise ValueError(f"acme_email: {what}. ACME needs an address, and domain, the name to certify")
        if not self.acme_server.startswith("https://"):
            raise ValueError("acme_server: no https:// URL. Write the one of the server's directory")
        return self


class LabsSettings(Closed):
    """The [labs] table: where labs are found."""

    folders: tuple[Path, ...] = Field(
        default=(), description="Folders of further labs beside the catalog; relative to ictlabs.toml."
    )


class Settings(Closed):
    """A whole site."""

    site: SiteSettings = SiteSettings()
    hub: HubSettings = HubSettings()
    portal: PortalSettings = PortalSettings()
    grader: GraderSettings = GraderSettings()
    mail: MailSettings = MailSettings()
    tls: TlsSettings = TlsSettings()
    labs: LabsSettings = LabsSettings()
    root: Path = Field(
        default=Path(), description="Folder that relative paths start from; not a key of the file."
    )

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.tls.is_on and self.tls.redirect_port == self.hub.port:
            raise ValueError(
                f"tls.redirect_port, hub.port: both are {self.hub.port}. hub.port is the one for https: 443, as a rule"
            )
        return self

    @property
    def address(self) -> str:
        """What people type to reach the site."""
        scheme, usual = ("https", 443) if self.tls.is_on else ("http", 80)
        host = self.tls.domain or in_url(self.hub.host)
        return f"{scheme}://{host}" + ("" if self.hub.port == usual else f":{self.hub.port}")

    @property
    def places(self) -> Places:
        """Where this site keeps things."""
        return Places(data=(self.root / self.site.data_dir).resolve())

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the record."""
        return self.site.database_url or self.places.store_url


def in_url(host: str) -> str:
    """The address of a host as it is written before a port."""
    return f"[{host}]" if ":" in host else host


def load_settings(path: Path | None = None) -> Settings:
    """Read ictlabs.toml.

    `path`: the file; else $ICTLABS_SETTINGS; else ./ictlabs.toml, which may be missing (all defaults).
    Raises SettingsError that names file, key and remedy.
    """
    named = path or (Path(os.environ["ICTLABS_SETTINGS"]) if os.environ.get("ICTLABS_SETTINGS") else None)
    file = named or Path("ictlabs.toml")
    if not file.exists():
        if named:
            raise SettingsError(
                f"{file}: no such file. Copy ictlabs.example.toml there, or leave the option out."
            )
        return Settings(root=Path.cwd())
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not valid TOML: {error}. Mend that line and start again.") from error
    if "root" in table:
        raise SettingsError(
            f"{file}: root: not a key of the file. Remove it; paths start from the file's folder."
        )
    try:
        settings = Settings.model_validate({**table, "root": file.resolve().parent})
    except ValidationError as error:
        lines = [f"{file}: {'.'.join(map(str, e['loc']))}: {e['msg']}." for e in error.errors()]
        raise SettingsError("\n".join(lines) + "\nictlabs.example.toml explains every key.") from error
    return settings.model_copy(update={"grader": settings.grader.read_in(settings.root)})
