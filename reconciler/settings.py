"""What can be set, by flags and by ``RECONCILER_*`` variables; a flag wins over a variable.

Forbidden here: acting on a setting, and printing a secret one.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from reconciler.core.access import is_loopback, parse_roles
from reconciler.core.acts import KEEP_ACTS
from reconciler.core.deliveries import signing_key
from reconciler.core.egress import split
from reconciler.core.egress_rules import parse_rules
from reconciler.core.sources import parse_hosts, parse_networks, parse_origins
from reconciler.errors import SettingsError
from schemas.base import PositiveDuration, format_duration

PREFIX = "RECONCILER_"


def _percent(value: object) -> object:
    """``50%`` or ``0.5``, as a part of 1."""
    text = str(value).strip()
    try:
        part = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise ValueError("write a percentage such as 50%") from None
    if not 0 <= part <= 1:
        raise ValueError("a percentage lies between 0% and 100%")
    return part


_SHORTEST_SECRET = 32  # bytes: as long as the output of SHA-256 (RFC 2104, section 3)


def _long(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if text != text.strip() or not text.isprintable():
        raise ValueError("a secret neither begins nor ends with a blank, and is one line of text in UTF-8")
    if min(len(text.encode()), len(signing_key(text))) < _SHORTEST_SECRET:
        raise ValueError(f"a secret has {_SHORTEST_SECRET} bytes or more; `openssl rand -hex 32` makes one")
    return secret


_ENCRYPTION_KEY = re.compile(r"[A-Za-z0-9_-]{43}=", re.ASCII)  # 32 bytes (https://github.com/fernet/spec)


def _encryption(keys: SecretStr) -> SecretStr:
    named = [key.strip() for key in keys.get_secret_value().split(",")]
    wrong = [number for number, key in enumerate(named, 1) if not _ENCRYPTION_KEY.fullmatch(key)]
    if wrong:
        which = "the key" if len(named) == 1 else f"key {', '.join(map(str, wrong))} of {len(named)}"
        raise ValueError(f"{which} is not 32 bytes in URL-safe base64; `reconciler auth keygen` prints one")
    return keys


_SHORTEST_LEASE = timedelta(seconds=1)


def _lease(span: timedelta) -> timedelta:
    if span < _SHORTEST_LEASE:
        raise ValueError("a lease lasts 1s or longer")
    return span


def _rules(text: str) -> str:
    parse_rules(split(text))
    return text


_RULES = (
    "with commas: networks, addresses and hosts, each with a port or a span of ports where only these are meant "
    "(10.0.0.0/8, [fd00::]/8:443, *.internal.example.com, *:8000-8999)"
)


def _checked(parse: Callable[[str], object]) -> Callable[[str], str]:
    """Accept what can be read."""

    def check(text: str) -> str:
        parse(text)
        return text

    return check


def _issuer(text: str) -> str:
    url = urlsplit(text)
    is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname or ""))
    if is_safe and url.hostname and not (url.query or url.fragment or "@" in url.netloc):
        return text
    raise ValueError("an issuer is an https URL without query and credentials (http on this machine only)")


class Settings(BaseSettings):
    """Every setting, with its default; ``docs/settings.md`` is compared with this."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    source: str = Field(
        default="manifests/",
        description="Where manifests are: a folder, a file, or a repository, such as "
        "git+https://host/repo.git?ref=main&path=manifests (also git+ssh, git+http, git+file).",
    )
    ref: str | None = Field(
        default=None, description="Branch, tag or commit of a repository; the source may then also be a path to one."
    )
    environment: str | None = Field(
        default=None, description="The Environment whose patches are applied; none unless named."
    )
    store: str = Field(
        default="sqlite:///.reconciler/state.db",
        description="Where state is kept: sqlite:///path or mongodb://host/database.",
    )
    data_dir: str = Field(default=".reconciler", description="Where copies of repositories are kept.")
    listen: str = Field(default="127.0.0.1:8080", description="Address of the HTTP side.")
    open_read: bool = Field(
        default=False, description="Let anybody read who reaches the address, whatever tokens are declared."
    )
    allowed_hosts: Annotated[str, AfterValidator(_checked(parse_hosts))] = Field(
        default="",
        description="Names, with commas, under which the HTTP side may be asked for, such as reconciler.example.com or "
        "*.example.com; besides localhost, addresses in digits, and the name in --listen.",
    )
    trusted_proxy: Annotated[str, AfterValidator(_checked(parse_networks))] = Field(
        default="",
        description="Networks, with commas, of proxies whose X-Forwarded-For is believed; of nobody unless named.",
    )
    cors_origin: Annotated[str, AfterValidator(_checked(parse_origins))] = Field(
        default="",
        description="Origins, with commas, of pages whose scripts may read answers, such as https://status.example.com.",
    )
    tls_cert: str | None = Field(default=None, description="File of the certificate, with its chain, to speak TLS.")
    tls_key: str | None = Field(default=None, description="File of its private key, which nobody else may read.")
    oidc_issuer: Annotated[str, AfterValidator(_issuer)] | None = Field(
        default=None,
        description="Issuer of logins (OpenID Connect) whose JWT are let in, such as https://login.example.com/realm.",
    )
    oidc_audience: str | None = Field(default=None, description="What these JWT must name as their audience.")
    oidc_role_claim: str = Field(
        default="roles", description="The claim in which roles stand; dots lead into it (realm_access.roles)."
    )
    oidc_roles: Annotated[str, AfterValidator(_checked(parse_roles))] = Field(
        default="",
        description="What the values of that claim stand for, such as sre=operator,platform=admin; "
        "the roles' own names unless given.",
    )
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", description="text for people, json for machines; auto is text on a terminal."
    )
    trigger_token: SecretStr | None = Field(
        default=None,
        description="Bearer token of an operator, for reading and triggering over HTTP, besides declared tokens.",
    )
    hook_secret: Annotated[SecretStr, AfterValidator(_long)] | None = Field(
        default=None,
        description="Shared secret, 32 bytes or more, that signs POST /hooks/git; without it the address refuses.",
    )
    git_token: SecretStr | None = Field(
        default=None,
        description="Access token for a repository over HTTPS (over plain HTTP only on this machine), "
        "instead of git's own credential helpers.",
    )
    verify_signatures: str | None = Field(
        default=None,
        description="File of allowed signers (ssh-keygen's format); a commit that none of them signed is refused.",
    )
    self_heal: bool = Field(
        default=True, description="Put back what stands in the store otherwise than declared; false only reports it."
    )
    drift_interval: PositiveDuration = Field(
        default=timedelta(minutes=5), description="The store is compared with what is declared at least this often."
    )
    interval: PositiveDuration = Field(
        default=timedelta(minutes=1), description="The source is read again at least this often."
    )
    drain: PositiveDuration = Field(
        default=timedelta(seconds=30), description="How long calls in flight may go on after SIGTERM."
    )
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=100,
        description="At most so many calls at once, over all Applications; "
        "one that takes longer than half a second hands its place on, up to ten times as many.",
    )
    egress: Literal["open", "public"] = Field(
        default="open",
        description="Where calls may go: open lets loopback and private networks be called, public does not. "
        "Link-local, metadata, multicast and reserved addresses are refused in both.",
    )
    egress_allow: Annotated[str, AfterValidator(_rules)] = Field(
        default="",
        description=f"What may be called all the same, {_RULES}. It opens all that it matches, "
        "the metadata services of clouds included, so name as little as will do.",
    )
    egress_deny: Annotated[str, AfterValidator(_rules)] = Field(
        default="", description="What may not be called, whatever is allowed, written likewise."
    )
    secrets_dir: str | None = Field(
        default=None,
        description="Folder of secret files: a relative `file` is one within it, and no `file` outside of it is read.",
    )
    sealing_keys: str = Field(
        default="",
        description="Files of private sealing keys, with commas, the newest first; older ones still open.",
    )
    encryption_keys: Annotated[SecretStr, AfterValidator(_encryption)] | None = Field(
        default=None,
        description="Keys, with commas, the newest first, with which credentials from handshakes and token endpoints "
        "are encrypted in the store; `reconciler auth keygen` prints one. Without them these are kept in memory only.",
    )
    lease: Annotated[PositiveDuration, AfterValidator(_lease)] = Field(
        default=timedelta(seconds=5),
        description="How long another process waits for a sign of the leader before it takes over; "
        "the leader gives one every fifth of it, and starts nothing more after three fifths without an answer.",
    )
    max_prune: Annotated[float, BeforeValidator(_percent)] = Field(
        default=0.5, description="A sync that would remove more than this part of all jobs removes none."
    )
    keep_runs: PositiveDuration = Field(
        default=timedelta(days=30), description="How long ended runs are kept that did not fail."
    )
    keep_failures: PositiveDuration = Field(
        default=timedelta(days=90), description="How long runs are kept that failed, were missed or are unknown."
    )
    keep_runs_per_job: Annotated[int, Field(ge=1)] = Field(
        default=1000, description="At most so many runs are kept of one job."
    )
    keep_acts: PositiveDuration = Field(
        default=KEEP_ACTS,
        description="How long it is kept who triggered, paused, removed and came in: `reconciler acts`.",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key go together: give both, or none")
        if self.oidc_issuer is not None and not self.oidc_audience:
            raise ValueError(f"{PREFIX}OIDC_ISSUER needs {PREFIX}OIDC_AUDIENCE: else others' tokens are let in")
        return self

    def shown(self) -> dict[str, str | None]:
        """Every setting by its variable's name without the prefix, for an administrator; secrets are masked."""
        return {name.upper(): _shown(getattr(self, name)) for name in type(self).model_fields}


def _shown(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, timedelta):
        return format_duration(value)
    text = str(value)
    parts = urlsplit(text) if "://" in text and "@" in text else None
    if parts is None:
        return text
    place = f"***@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=place, query="***" if parts.query else ""))


def load(**flags: Any) -> Settings:
    """The settings, from flags (``None`` or empty where not given) and the environment.

    Raises:
        SettingsError: with every reason at once.
    """
    given = {name: value for name, value in flags.items() if value not in (None, "")}
    try:
        return Settings(**given)
    except ValidationError as error:
        reasons = [_reason(details, given) for details in error.errors(include_input=False, include_url=False)]
        raise SettingsError("\n".join(reasons)) from None


def _reason(details: Any, given: dict[str, Any]) -> str:
    if not details["loc"]:
        return str(details["msg"]).removeprefix("Value error, ")
    name = str(details["loc"][0])
    said = f"--{name.replace('_', '-')}" if name in given else f"{PREFIX}{name.upper()}"
    message = str(details["msg"]).removeprefix("Value error, ")
    return f"{said}: {message[:1].lower()}{message[1:]}"


def unknown_variables(environment: dict[str, str] | None = None) -> list[str]:
    """A sentence for each ``RECONCILER_*`` variable that sets nothing, most likely a slip of the pen."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    sentences = []
    for name in sorted(environment if environment is not None else os.environ):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            sentences.append(f"{name} sets nothing" + (f"; did you mean {close[0]}?" if close else ""))
    return sentences
