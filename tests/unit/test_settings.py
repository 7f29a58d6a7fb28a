from datetime import timedelta
from pathlib import Path

import pytest

from docs import generate
from reconciler import settings
from reconciler.app import wiring
from reconciler.errors import SettingsError


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(f"RECONCILER_{name.upper()}", raising=False)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_default(monkeypatch):
    monkeypatch.setenv("RECONCILER_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("RECONCILER_SOURCE", "from-variable")
    chosen = settings.load(source="from-flag", store=None)
    assert (chosen.source, chosen.listen, chosen.store) == (
        "from-flag",
        "127.0.0.1:1",
        "sqlite:///.reconciler/state.db",
    )


def test_an_empty_variable_or_flag_counts_as_not_set(monkeypatch):
    assert settings.load(source="").source == "manifests/"
    monkeypatch.setenv("RECONCILER_TRIGGER_TOKEN", "")
    assert settings.load().trigger_token is None


def test_durations_and_percentages_are_written_as_in_manifests(monkeypatch):
    monkeypatch.setenv("RECONCILER_DRAIN", "1m30s")
    monkeypatch.setenv("RECONCILER_MAX_PRUNE", "25%")
    chosen = settings.load()
    assert (chosen.drain, chosen.max_prune) == (timedelta(seconds=90), 0.25)


def test_every_reason_is_given_at_once_under_the_name_the_user_typed(monkeypatch):
    monkeypatch.setenv("RECONCILER_INTERVAL", "soon")
    monkeypatch.setenv("RECONCILER_MAX_PRUNE", "200%")
    monkeypatch.setenv("RECONCILER_MAX_IN_FLIGHT", "many")
    with pytest.raises(SettingsError) as caught:
        settings.load(log_format="loud")
    said = str(caught.value)
    assert [line.partition(":")[0] for line in sorted(said.splitlines())] == [
        "--log-format",
        "RECONCILER_INTERVAL",
        "RECONCILER_MAX_IN_FLIGHT",
        "RECONCILER_MAX_PRUNE",
    ]


def test_a_secret_stands_in_no_message_and_no_repr(monkeypatch):
    monkeypatch.setenv("RECONCILER_TRIGGER_TOKEN", "hush-hush")
    monkeypatch.setenv("RECONCILER_DRAIN", "hush-hush")
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert "hush" not in str(caught.value)
    monkeypatch.delenv("RECONCILER_DRAIN")
    assert "hush" not in repr(settings.load())


@pytest.mark.parametrize("secret", ["x" * 32, "\u00e9" * 16, "whsec_" + "A" * 43 + "=", "two words " * 4 + "end"])
def test_a_secret_of_the_hook_has_32_bytes_or_more(monkeypatch, secret):
    monkeypatch.setenv("RECONCILER_HOOK_SECRET", secret)
    assert settings.load().hook_secret.get_secret_value() == secret


def test_no_secret_of_the_hook_is_none(monkeypatch):
    assert settings.load().hook_secret is None
    monkeypatch.setenv("RECONCILER_HOOK_SECRET", "")
    assert settings.load().hook_secret is None


TOO_SHORT = "a secret has 32 bytes or more; `openssl rand -hex 32` makes one"
NOT_ONE_LINE = "a secret neither begins nor ends with a blank, and is one line of text in UTF-8"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("hunter2" * 4 + "xyz", TOO_SHORT),
        ("\u00e9" * 15, TOO_SHORT),
        ("whsec_" + "A" * 40, TOO_SHORT),  # its key has 30 bytes
        ("whsec_hunter2!" + "A" * 40, "what follows whsec_ must be Base64"),
        ("x" * 40 + "\n", NOT_ONE_LINE),
        (" " + "x" * 40, NOT_ONE_LINE),
        ("x" * 20 + "\n" + "x" * 20, NOT_ONE_LINE),
        ("\udcff" * 40, NOT_ONE_LINE),
    ],
    ids=["short", "short-beyond-ascii", "short-key", "no-base64", "line-end", "blank", "two-lines", "no-utf-8"],
)
def test_a_secret_of_the_hook_that_cannot_be_is_refused_without_being_shown(monkeypatch, secret, said):
    monkeypatch.setenv("RECONCILER_HOOK_SECRET", secret)
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert str(caught.value) == f"RECONCILER_HOOK_SECRET: {said}"


def test_the_secret_of_the_hook_stands_in_no_repr(monkeypatch):
    monkeypatch.setenv("RECONCILER_HOOK_SECRET", "hunter2" * 5)
    assert "hunter2" not in repr(settings.load())


def test_rules_of_egress_are_lists_with_commas(monkeypatch):
    monkeypatch.setenv("RECONCILER_EGRESS_ALLOW", "10.0.0.0/8, [fd00::]/8:443")
    chosen = settings.load(egress="public", egress_deny="*.internal.example.com,")
    policy = wiring.egress(chosen)
    assert (policy.mode, [rule.text for rule in policy.allow]) == ("public", ["10.0.0.0/8", "[fd00::]/8:443"])
    assert [rule.text for rule in policy.deny] == ["*.internal.example.com"]
    assert wiring.egress(settings.load(egress_allow=" ")).mode == "open"


def test_every_rule_of_egress_without_meaning_is_named(monkeypatch):
    monkeypatch.setenv("RECONCILER_EGRESS", "closed")
    monkeypatch.setenv("RECONCILER_EGRESS_DENY", "10.0.0.1/8,127.1")
    with pytest.raises(SettingsError) as caught:
        settings.load(egress_allow="a:0")
    said = sorted(str(caught.value).splitlines())
    assert said[0].startswith("--egress-allow: 'a:0': a port is a number from 1 to 65535")
    assert said[1].startswith("RECONCILER_EGRESS: ")
    assert said[2].startswith("RECONCILER_EGRESS_DENY: '10.0.0.1/8': the address has bits beyond its prefix")
    assert "'127.1': not an address or a network" in said[2]


def test_a_variable_that_sets_nothing_is_named_with_what_was_meant():
    assert settings.unknown_variables({"RECONCILER_STOR": "x", "RECONCILER_STORE": "y", "PATH": "z"}) == [
        "RECONCILER_STOR sets nothing; did you mean RECONCILER_STORE?"
    ]


@pytest.mark.parametrize(("page", "text"), [("settings.md", generate.settings), ("manifests.md", generate.manifests)])
def test_the_reference_says_what_the_models_say(page, text):
    assert (Path(generate.__file__).parent / page).read_text(encoding="utf-8") == text(), "run `make docs`"
