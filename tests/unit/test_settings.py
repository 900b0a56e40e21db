import json
import os
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.errors import ConfigurationError
from stockade.settings import Environment, Settings, known_names

CANARY = "CANARY-5f2a"
SECRET = "6f1c9a7be35d80f24c1be9d07a5f3826"
OTHER = "kU3vQ9xTz7LwB2nRf8YpHs5GjD4cMaE6"
ALIASES = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "DOCS_USERNAME", "DOCS_PASSWORD")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Start without any setting in the environment."""
    for name in list(os.environ):
        if name.upper().startswith("STOCKADE_") or name in ALIASES:
            monkeypatch.delenv(name)
    return monkeypatch


def refusal(**values: object) -> str:
    """Return the message with which settings are refused."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(**values)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_production_is_the_default() -> None:
    """Whoever says nothing gets the strictest environment."""
    settings = Settings()
    assert settings.environment is Environment.PRODUCTION
    assert settings.environment.is_deployed
    assert (settings.secret_keys, settings.database_url, settings.redis_url) == ((), None, None)
    assert settings.gate.default == "deny"


@pytest.mark.parametrize(
    ("name", "deployed"),
    [("local", False), ("test", False), ("staging", True), ("production", True)],
)
def test_what_others_can_reach_is_deployed(
    environment: pytest.MonkeyPatch, name: str, deployed: bool
) -> None:
    """Only environments of developers are lenient."""
    environment.setenv("STOCKADE_ENVIRONMENT", name)
    assert Settings().environment.is_deployed is deployed


@pytest.mark.parametrize("value", ["prod", "Production", " test", "development"], ids=repr)
def test_an_environment_is_one_of_four(environment: pytest.MonkeyPatch, value: str) -> None:
    """A misspelt environment stops the start."""
    environment.setenv("STOCKADE_ENVIRONMENT", value)
    assert "STOCKADE_ENVIRONMENT" in refusal()


def test_layers_are_set_by_name(environment: pytest.MonkeyPatch) -> None:
    """A setting of a layer reads STOCKADE_<LAYER>__<FIELD>, in any case, beside the defaults."""
    environment.setenv("STOCKADE_WEB__MAX_BODY_SIZE", "77")
    environment.setenv("stockade_authentication__bcrypt_cost", "5")
    settings = Settings()
    assert (settings.web.max_body_size, settings.authentication.bcrypt_cost) == (77, 5)
    assert settings.web.hsts_max_age == 31_536_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.example.com", ("a.example.com",)),
        ("a.example.com, b.example.com,", ("a.example.com", "b.example.com")),
        ('["a.example.com"]', ("a.example.com",)),
        ("[::1]", None),
        ("", ()),
    ],
    ids=repr,
)
def test_a_list_is_parted_by_commas_or_is_json(
    environment: pytest.MonkeyPatch, value: str, expected: tuple[str, ...] | None
) -> None:
    """Both spellings that people try work; a broken one is an error with a name."""
    environment.setenv("STOCKADE_WEB__ALLOWED_HOSTS", value)
    if expected is None:
        assert "allowed_hosts" in refusal()
    else:
        assert Settings().web.allowed_hosts == expected


def test_a_table_is_json_or_a_variable_for_each_member(environment: pytest.MonkeyPatch) -> None:
    """Roles can be written in one variable or one by one."""
    environment.setenv("STOCKADE_AUTHORIZATION__ROLES", json.dumps({"auditor": ["a:b:c"]}))
    assert Settings().authorization.roles == {"auditor": frozenset({"a:b:c"})}
    environment.delenv("STOCKADE_AUTHORIZATION__ROLES")
    environment.setenv("STOCKADE_AUTHORIZATION__ROLES__auditor", json.dumps(["a:b:c"]))
    assert Settings().authorization.roles == {"auditor": frozenset({"a:b:c"})}


# --- Secrets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["STOCKADE_SECRET_KEYS", "SECRET_KEY"])
def test_secrets_are_parted_by_commas(environment: pytest.MonkeyPatch, name: str) -> None:
    """Oldest first, without the spaces between them."""
    environment.setenv(name, f" {SECRET}, {OTHER},")
    keys = Settings().secret_keys
    assert [key.get_secret_value() for key in keys] == [SECRET, OTHER]


def test_secrets_show_in_no_representation(environment: pytest.MonkeyPatch) -> None:
    """Printing or dumping settings gives nothing away."""
    environment.setenv("STOCKADE_SECRET_KEYS", SECRET)
    environment.setenv("DATABASE_URL", f"postgresql://user:{OTHER}@localhost/name")
    environment.setenv("REDIS_URL", f"redis://:{OTHER}@localhost")
    environment.setenv("DOCS_USERNAME", "docs")
    environment.setenv("DOCS_PASSWORD", OTHER)
    settings = Settings()
    for text in (repr(settings), str(settings), str(settings.model_dump()), f"{settings!r:s}"):
        assert SECRET not in text
        assert OTHER not in text
    assert OTHER not in settings.model_dump_json()


def test_the_names_that_teams_use_are_read(environment: pytest.MonkeyPatch) -> None:
    """The required names of the documentation's credentials and the usual URLs work."""
    environment.setenv("DOCS_USERNAME", "docs")
    environment.setenv("DOCS_PASSWORD", OTHER)
    environment.setenv("DATABASE_URL", "sqlite:///x.db")
    environment.setenv("REDIS_URL", "redis://localhost")
    settings = Settings()
    assert settings.api_docs.username == "docs"
    assert settings.api_docs.password is not None
    assert settings.api_docs.password.get_secret_value() == OTHER
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "sqlite:///x.db"
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://localhost"


def test_arguments_win_over_names_and_names_over_aliases(environment: pytest.MonkeyPatch) -> None:
    """The nearest source wins, field by field."""
    environment.setenv("SECRET_KEY", SECRET)
    environment.setenv("DOCS_USERNAME", "alias")
    environment.setenv("DOCS_PASSWORD", OTHER)
    environment.setenv("STOCKADE_SECRET_KEYS", OTHER)
    environment.setenv("STOCKADE_API_DOCS__USERNAME", "name")
    settings = Settings()
    assert [key.get_secret_value() for key in settings.secret_keys] == [OTHER]
    assert settings.api_docs.username == "name"
    assert settings.api_docs.password is not None
    given = Settings(secret_keys=[SECRET], api_docs={"username": "argument"})
    assert [key.get_secret_value() for key in given.secret_keys] == [SECRET]
    assert given.api_docs.username == "argument"


@pytest.mark.parametrize("name", [*known_names(), *ALIASES])
def test_an_empty_variable_is_none(environment: pytest.MonkeyPatch, name: str) -> None:
    """An empty variable, as compose files leave it, sets nothing."""
    expected = Settings()
    environment.setenv(name, "")
    assert Settings() == expected


# --- Mistakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("STOCKADE_SECRET_KEY", "STOCKADE_SECRET_KEYS"),
        ("STOCKADE_ENVIRONMEN", "STOCKADE_ENVIRONMENT"),
        ("stockade_environmen", "STOCKADE_ENVIRONMENT"),
        ("Stockade_Web__Alowed_Hosts", "STOCKADE_WEB__ALLOWED_HOSTS"),
        ("STOCKADE_WEB_MAX_BODY_SIZE", "STOCKADE_WEB__MAX_BODY_SIZE"),
        ("STOCKADE_WEB__MAX_BODY_SIZE__X", "STOCKADE_WEB__MAX_BODY_SIZE"),
        ("STOCKADE_DATABASE_URL__X", "STOCKADE_DATABASE_URL"),
        ("STOCKADE_SECRET_KEYS__0", "STOCKADE_SECRET_KEYS"),
        ("STOCKADE_", None),
        ("STOCKADE_WEB", None),
        ("STOCKADE_ZZZZZZZZZZZZ", None),
    ],
)
def test_a_misspelt_name_is_never_ignored(
    environment: pytest.MonkeyPatch, name: str, hint: str | None
) -> None:
    """A setting that would silently not apply stops the start, with the name that was meant."""
    environment.setenv(name, CANARY)
    message = refusal()
    assert name in message
    assert CANARY not in message
    assert hint is None or hint in message


@given(st.from_regex(r"\A[A-Z_]{1,20}\Z"))
def test_every_unknown_name_is_noticed(ending: str) -> None:
    """Whatever follows the prefix is a setting, belongs to another reader, or is a mistake."""
    name = f"STOCKADE_{ending}"
    tables = ("STOCKADE_GATE__POLICIES__", "STOCKADE_GATE__ANSWERING_MIDDLEWARE__")
    others = ("STOCKADE_DEMO_", "STOCKADE_TEST_", "STOCKADE_CORPORA", *tables)
    if name in known_names() or name.startswith(others):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, CANARY)
        assert name in refusal()


@pytest.mark.parametrize("name", ["STOCKADE_DEMO_PORT", "STOCKADE_TEST_REDIS_URL", "OTHER_NAME"])
def test_names_of_other_readers_are_left_alone(environment: pytest.MonkeyPatch, name: str) -> None:
    """The demo, the tests and other programs have names of their own."""
    environment.setenv(name, CANARY)
    Settings()


@pytest.mark.parametrize("name", known_names())
@pytest.mark.parametrize(
    "value", [CANARY + "\udcff", f'["{CANARY}"]', f'{{"{CANARY}', f"[{CANARY}"], ids=ascii
)
def test_no_message_repeats_a_value(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A value in the wrong place, which may be a secret, is not printed at the start."""
    environment.setenv(name, value)
    message = None
    try:
        Settings()
    except ConfigurationError as error:
        message = "".join(traceback.format_exception(error))
    assert message is None or CANARY not in message


@pytest.mark.parametrize(
    "values",
    [
        {"unheard_of": CANARY},
        {"web": {"unheard_of": CANARY}},
        {"web": CANARY},
        {"secret_keys": [5]},
        {"authorization": {"roles": {"a": [CANARY]}}},
        {"gate": {"policies": {"/x": {"limits": 5}}}},
    ],
    ids=str,
)
def test_arguments_are_checked_like_the_environment(values: dict[str, object]) -> None:
    """A mistake in code is the same error, without the value."""
    message = refusal(**values)
    assert message.startswith("STOCKADE_")
    assert CANARY not in message


def test_settings_can_not_be_changed() -> None:
    """What was checked at the start stays."""
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.environment = Environment.LOCAL  # type: ignore[misc]  # The attack.
    with pytest.raises(ValueError, match="frozen"):
        settings.web.max_body_size = 5  # type: ignore[misc]  # The attack.


def test_nothing_else_is_read(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .env file in the folder where the process starts does not configure it."""
    environment.chdir(tmp_path)
    (tmp_path / ".env").write_text("STOCKADE_ENVIRONMENT=local\nSECRET_KEY=x\n", encoding="utf-8")
    assert Settings().environment is Environment.PRODUCTION
