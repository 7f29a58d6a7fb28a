"""The commands that do something: run, sync, trigger, check.

Forbidden here: deciding anything about jobs and runs.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from reconciler import settings
from reconciler.adapters import log
from reconciler.app.masking import REDACTOR
from reconciler.app.signals import hear_no_more
from reconciler.cli import console, inspect
from reconciler.cli.console import Output, OutputOption
from reconciler.cli.options import (
    AllowedHostsOption,
    AllowPruneOption,
    CorsOriginOption,
    EgressAllowOption,
    EgressDenyOption,
    EgressOption,
    EnvironmentOption,
    MaxPruneOption,
    OpenReadOption,
    RefOption,
    SelfHealOption,
    SignersOption,
    SourceArgument,
    StoreOption,
    TlsCertOption,
    TlsKeyOption,
    TrustedProxyOption,
)
from reconciler.core import plan_text, views
from reconciler.core.drift import describe
from reconciler.core.model import JobKey, Outcome, Overrides
from reconciler.core.plural import plural
from reconciler.errors import ReconcilerError, SettingsError


def run(
    source: SourceArgument = None,
    store: StoreOption = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Address for HTTP [RECONCILER_LISTEN; 127.0.0.1:8080]."),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", metavar="auto|text|json", help="Lines for people or for machines.")
    ] = None,
    ref: RefOption = None,
    environment: EnvironmentOption = None,
    interval: Annotated[
        str | None,
        typer.Option(
            "--interval", metavar="DURATION", help="Read the source at least so often [RECONCILER_INTERVAL; 1m]."
        ),
    ] = None,
    verify_signatures: SignersOption = None,
    self_heal: SelfHealOption = None,
    max_prune: MaxPruneOption = None,
    allow_prune: AllowPruneOption = "",
    egress: EgressOption = None,
    egress_allow: EgressAllowOption = None,
    egress_deny: EgressDenyOption = None,
    open_read: OpenReadOption = None,
    allowed_hosts: AllowedHostsOption = None,
    trusted_proxy: TrustedProxyOption = None,
    cors_origin: CorsOriginOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a store or source that is away at the start.")] = False,
) -> None:
    """Follow the manifests: keep the schedule aligned, make the calls, record every run."""
    from reconciler.app import serving  # noqa: PLC0415 - half a second that the other commands need not pay

    chosen = settings.load(
        source=source,
        store=store,
        listen=listen,
        log_format=log_format,
        ref=ref,
        environment=environment,
        interval=interval,
        verify_signatures=verify_signatures,
        self_heal=self_heal,
        max_prune=max_prune,
        egress=egress,
        egress_allow=egress_allow,
        egress_deny=egress_deny,
        open_read=open_read,
        allowed_hosts=allowed_hosts,
        trusted_proxy=trusted_proxy,
        cors_origin=cors_origin,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    log.configure(chosen.log_format, redactor=REDACTOR)
    try:
        asyncio.run(serving.serve(chosen, wait=wait, allow_prune=allow_prune))
    finally:
        hear_no_more()


def sync(
    source: SourceArgument = None,
    store: StoreOption = None,
    ref: RefOption = None,
    environment: EnvironmentOption = None,
    verify_signatures: SignersOption = None,
    self_heal: SelfHealOption = None,
    max_prune: MaxPruneOption = None,
    allow_prune: AllowPruneOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """One pass from the manifests to the store, then exit. Exit 0, or 1 where something is held or stopped."""
    from reconciler.app import acting  # noqa: PLC0415 - as above

    chosen = settings.load(
        source=source,
        store=store,
        ref=ref,
        environment=environment,
        verify_signatures=verify_signatures,
        self_heal=self_heal,
        max_prune=max_prune,
    )
    report, made = asyncio.run(acting.sync_once(chosen, allow_prune=allow_prune))
    if output is Output.JSON:
        console.print_json(views.sync_view(report).shape())
    else:
        console.print_problems(report.problems)
        console.print_lines(("yellow", describe(one)) for one in report.drift)
        console.print_lines(plan_text.lines(made, datetime.now(UTC)))
        console.print_lines(("yellow", note) for note in report.notes)
        console.print_lines(
            [
                (
                    "bold",
                    f"Sync: {report.result}, {plural(report.jobs, 'job')} at revision {inspect.revision_text(report)}",
                )
            ]
        )
    raise typer.Exit(1 if report.problems or report.result == "refused" else 0)


def trigger(
    job: Annotated[str, typer.Argument(metavar="APPLICATION/API")],
    query: Annotated[
        list[str] | None, typer.Option("--query", metavar="NAME=VALUE", help="Replace a query parameter for this run.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="Replace a header for this run.")
    ] = None,
    body: Annotated[str | None, typer.Option("--json", metavar="JSON", help="Replace the body for this run.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="The same key makes no second run.")
    ] = None,
    store: StoreOption = None,
    egress: EgressOption = None,
    egress_allow: EgressAllowOption = None,
    egress_deny: EgressDenyOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make one run now and wait for its outcome. Exit 0 where it succeeded, 1 where not."""
    from reconciler.app import acting  # noqa: PLC0415 - as above

    overrides = Overrides(
        query=_pairs("--query", query), headers=_pairs("--header", header), json=_json(body), has_json=body is not None
    )
    chosen = settings.load(store=store, egress=egress, egress_allow=egress_allow, egress_deny=egress_deny)
    ended = asyncio.run(acting.trigger_once(chosen, JobKey.parse(job), overrides, idempotency_key))
    inspect.print_run(ended, output)
    raise typer.Exit(0 if ended.outcome is Outcome.SUCCEEDED else 1)


def _pairs(flag: str, values: list[str] | None) -> dict[str, str]:
    pairs = {}
    for value in values or ():
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise SettingsError(f"{flag}: write NAME=VALUE, not {value!r}")
        pairs[name] = text
    return pairs


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(f"--json: not JSON: {error}") from None


def check(
    source: SourceArgument = None,
    store: StoreOption = None,
    listen: Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT")] = None,
    ref: RefOption = None,
    environment: EnvironmentOption = None,
    verify_signatures: SignersOption = None,
    open_read: OpenReadOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Are settings, source, store and address usable? Exit 0, or 1 with what is not."""
    from reconciler.app import acting  # noqa: PLC0415 - as above

    findings = [acting.Finding(what="settings", good=False, text=text) for text in settings.unknown_variables()]
    try:
        chosen = settings.load(
            source=source,
            store=store,
            listen=listen,
            ref=ref,
            environment=environment,
            verify_signatures=verify_signatures,
            open_read=open_read,
        )
    except ReconcilerError as error:
        findings += [acting.Finding(what="settings", good=False, text=text) for text in str(error).splitlines()]
    else:
        findings = findings or [acting.Finding(what="settings", good=True, text="understood")]
        findings += asyncio.run(acting.check(chosen))
    if output is Output.JSON:
        console.print_json([{"what": one.what, "good": one.good, "text": one.text} for one in findings])
    else:
        console.print_table([[("ok", "green") if one.good else ("bad", "red"), one.what, one.text] for one in findings])
    raise typer.Exit(0 if all(one.good for one in findings) else 1)
