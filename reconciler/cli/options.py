"""The flags that several commands share; each is a setting of the same name. Forbidden here: behaviour."""

from __future__ import annotations

from typing import Annotated

import typer

SourceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[SOURCE]",
        help="Folder, file or repository (git+https://…?ref=…&path=…) of manifests [RECONCILER_SOURCE; manifests/].",
        show_default=False,
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="sqlite:///path or mongodb://host/database [RECONCILER_STORE]."),
]
RefOption = Annotated[
    str | None,
    typer.Option(
        "--ref", metavar="REF", help="Branch, tag or commit of the repository that SOURCE is [RECONCILER_REF]."
    ),
]
EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--environment", "-e", metavar="NAME", help="Apply the patches of this Environment [RECONCILER_ENVIRONMENT]."
    ),
]
SignersOption = Annotated[
    str | None,
    typer.Option(
        "--verify-signatures",
        metavar="FILE",
        help="Refuse commits that nobody in this file of allowed signers has signed [RECONCILER_VERIFY_SIGNATURES].",
    ),
]
SelfHealOption = Annotated[
    bool | None,
    typer.Option(
        "--self-heal/--no-self-heal",
        help="Put drift back, or only report it [RECONCILER_SELF_HEAL; put back].",
        show_default=False,
    ),
]
EgressOption = Annotated[
    str | None,
    typer.Option(
        "--egress",
        metavar="open|public",
        help="Whether loopback and private networks may be called [RECONCILER_EGRESS; open].",
    ),
]
EgressAllowOption = Annotated[
    str | None,
    typer.Option(
        "--egress-allow",
        metavar="RULES",
        help="Networks and hosts, host:443, that may be called all the same [RECONCILER_EGRESS_ALLOW].",
    ),
]
EgressDenyOption = Annotated[
    str | None,
    typer.Option(
        "--egress-deny",
        metavar="RULES",
        help="Networks and hosts, host:443, that may not be called [RECONCILER_EGRESS_DENY].",
    ),
]
OpenReadOption = Annotated[
    bool | None,
    typer.Option(
        "--open-read",
        help="Let anybody read who reaches the address [RECONCILER_OPEN_READ; only on loopback].",
        show_default=False,
    ),
]
AllowedHostsOption = Annotated[
    str | None,
    typer.Option(
        "--allowed-hosts",
        metavar="HOSTS",
        help="Names under which HTTP may be asked for, besides localhost [RECONCILER_ALLOWED_HOSTS].",
    ),
]
TrustedProxyOption = Annotated[
    str | None,
    typer.Option(
        "--trusted-proxy",
        metavar="NETWORKS",
        help="Proxies whose X-Forwarded-For is believed [RECONCILER_TRUSTED_PROXY].",
    ),
]
CorsOriginOption = Annotated[
    str | None,
    typer.Option(
        "--cors-origin", metavar="ORIGINS", help="Pages whose scripts may read answers [RECONCILER_CORS_ORIGIN]."
    ),
]
TlsCertOption = Annotated[
    str | None,
    typer.Option("--tls-cert", metavar="FILE", help="Speak TLS with this certificate [RECONCILER_TLS_CERT]."),
]
TlsKeyOption = Annotated[
    str | None,
    typer.Option("--tls-key", metavar="FILE", help="Its key, which nobody else may read [RECONCILER_TLS_KEY]."),
]
MaxPruneOption = Annotated[
    str | None,
    typer.Option(
        "--max-prune", metavar="PERCENT", help="A sync that would remove more than this removes nothing [50%]."
    ),
]
AllowPruneOption = Annotated[
    str,
    typer.Option("--allow-prune", metavar="REVISION", help="The removals of this revision are meant, however many."),
]
