"""Masking of secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.redaction import MASK, is_secret, redact, redact_text

secrets = st.text(st.sampled_from("abcXYZ019-_.~!*"), min_size=12)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "kafka.security.password",
        "TOKEN",
        "apiKey",
        "api_key",
        "dsn",
        "Authorization",
        "key_password",
        "clientSecret",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["key", "symbol", "author", "secretary", "tokenizer", "key_file", "", "partition"])
def test_other_names_are_not_masked(name: str) -> None:
    assert not is_secret(name)


@given(secrets)
def test_the_password_of_a_url_is_masked(secret: str) -> None:
    text = redact_text(f"connect to postgresql://user:{secret}@host:5432/db?x=1 failed")
    assert text == f"connect to postgresql://user:{MASK}@host:5432/db?x=1 failed"


@given(
    secrets, st.sampled_from(["password={}", "sasl.password: {}", "api_key='{}'", '"token": "{}"', "Authorization: Bearer {}"])
)
def test_a_secret_given_by_name_is_masked(secret: str, form: str) -> None:
    assert secret not in redact_text(f"failed with {form.format(secret)}, then more")
    assert redact_text(f"failed with {form.format(secret)}, then more").endswith(", then more")


@pytest.mark.parametrize("text", ["http://127.0.0.1:8081/apis", "binance:BTC-USDT", "kafka at b:9092", "key=3"])
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


def test_values_are_masked_at_any_depth() -> None:
    assert redact({"a": [{"token": 1, "b": "http://u:p@h"}], "dsn": None, 3: (1, 2)}) == {
        "a": [{"token": MASK, "b": f"http://u:{MASK}@h"}],
        "dsn": None,
        3: [1, 2],
    }
