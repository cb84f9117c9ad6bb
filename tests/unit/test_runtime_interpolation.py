"""References to environment variables in the values of a settings file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.settings.interpolation import escape, interpolate

dollars_and_braces = st.text(st.sampled_from("${}:-A_") | st.characters(codec="utf-8"))
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)


@given(dollars_and_braces, st.dictionaries(names, st.text()))
def test_an_escaped_text_comes_back_unchanged(text: str, environ: dict[str, str]) -> None:
    assert interpolate(escape(text), environ) == text


@given(dollars_and_braces, names, dollars_and_braces, dollars_and_braces)
def test_a_reference_is_replaced_once_wherever_it_stands(before: str, name: str, value: str, after: str) -> None:
    # A dollar sign directly before a reference would escape it.
    text = f"{escape(before)} ${{{name}}}{escape(after)}"
    assert interpolate(text, {name: value}) == f"{before} {value}{after}"


@given(names, st.text(st.characters(codec="utf-8", exclude_characters="}$")))
def test_a_default_stands_in_for_an_unset_or_empty_variable(name: str, default: str) -> None:
    text = f"${{{name}:-{default}}}"
    assert interpolate(text, {}) == interpolate(text, {name: ""}) == default
    assert interpolate(text, {name: "given"}) == "given"


@given(dollars_and_braces)
def test_any_text_is_interpolated_or_refused_with_a_reason(text: str) -> None:
    try:
        assert isinstance(interpolate(text, {}), str)
    except ValueError as error:
        assert "is not set" in str(error) or "is not of the form" in str(error)


@pytest.mark.parametrize("text", ["pa$$word", "$", "$HOME", "100 $ {x}", "{}"])
def test_other_dollar_signs_are_plain(text: str) -> None:
    assert interpolate(text, {"HOME": "no"}) == text


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(ValueError, match="the environment variable NO_SUCH is not set"):
        interpolate("a ${NO_SUCH}", {"A": "b"})


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A", "${A:?no}", "${A:-${B}}", "${A B}"])
def test_a_reference_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        interpolate(text, {"A": "a", "B": "b"})
