from datetime import timedelta
from pathlib import Path

import pytest

from docs import generate
from reconciler import settings
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


def test_a_variable_that_sets_nothing_is_named_with_what_was_meant():
    assert settings.unknown_variables({"RECONCILER_STOR": "x", "RECONCILER_STORE": "y", "PATH": "z"}) == [
        "RECONCILER_STOR sets nothing; did you mean RECONCILER_STORE?"
    ]


@pytest.mark.parametrize(("page", "text"), [("settings.md", generate.settings), ("manifests.md", generate.manifests)])
def test_the_reference_says_what_the_models_say(page, text):
    assert (Path(generate.__file__).parent / page).read_text(encoding="utf-8") == text(), "run `make docs`"
