"""Who a client is, and what it may see."""

import base64
import hmac

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.api_keys import ApiKeys, make_key, read_keys, write_keys
from gateway.authentication import Authenticator, bearer, offered, one_token
from gateway.identity import LOCAL, Grants, Principal, read_grants
from gateway.jwt_keys import Tokens, read_key_set, secret_key
from gateway.messages import Room
from gateway.refusals import ErrorCode, Refusal
from runtime.redaction import MASK, redact_text
from tests.access_parts import (
    AUDIENCE,
    HOUR,
    SECRET,
    ec_key,
    key_set,
    make_token,
    public_entry,
    rsa_key,
    secret_entry,
    tokens_of,
)
from tests.builders import START

DEEP = b'{"keys":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BTC, ETH = "binance:BTC-USDT", "okx:ETH-USDT"


def refusal_of(tokens: Tokens | ApiKeys | Authenticator, token: str | None, now: int = START) -> Refusal:
    authenticate = tokens.authenticate if isinstance(tokens, Authenticator) else tokens.principal
    with pytest.raises(Refusal) as caught:
        authenticate(token, now)  # type: ignore[arg-type]  # only an authenticator is asked without a token
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert caught.value.status == 401
    return caught.value


class TestGrants:
    def test_nothing_is_granted_that_is_not_named(self) -> None:
        nobody = Principal("nobody", "jwt:1", Grants())
        assert not nobody.sees(BTC)
        assert not nobody.hears("QUOTE")
        assert not nobody.sees_all
        for check, status in ((nobody.check_data_type, 403), (nobody.check_portfolio, 404), (nobody.check_role, 403)):
            with pytest.raises(Refusal) as caught:
                check("x")
            assert caught.value.status == status

    @pytest.mark.parametrize(
        ("symbols", "sees_btc", "sees_eth"),
        [
            ([BTC], True, False),
            (["binance:*"], True, False),
            (["okx:*", BTC], True, True),
            (["*"], True, True),
            ([], False, False),
        ],
    )
    def test_symbols_are_instruments_venues_or_all(self, symbols: list[str], sees_btc: bool, sees_eth: bool) -> None:
        principal = Principal("desk", "jwt:1", read_grants({"symbols": symbols}))
        assert (principal.sees(BTC), principal.sees(ETH)) == (sees_btc, sees_eth)

    def test_room_is_open_to_whom_both_its_symbol_and_its_type_are_granted(self) -> None:
        principal = Principal("desk", "jwt:1", read_grants({"symbols": [BTC], "data_types": ["QUOTE"]}))
        assert principal.may_enter(Room("QUOTE", BTC))
        assert not principal.may_enter(Room("TRADE", BTC))
        assert not principal.may_enter(Room("QUOTE", ETH))

    def test_portfolios_and_roles_are_apart(self) -> None:
        admin = Principal("root", "jwt:1", read_grants({"roles": ["admin"], "portfolios": ["p1"]}))
        admin.check_role("admin")
        admin.check_portfolio("p1")
        with pytest.raises(Refusal) as other:
            admin.check_portfolio("p2")
        assert "p2" not in str(other.value.body())
        assert (admin.holds("p1"), admin.holds("p2"), admin.holds_all) == (True, False, False)
        assert admin.may_enter(Room("PORTFOLIO", "p1"))
        assert not admin.may_enter(Room("PORTFOLIO", "p2"))

    def test_grants_of_market_data_let_nobody_see_a_portfolio(self) -> None:
        everything = {"roles": ["*"], "symbols": ["*"], "data_types": ["*"]}
        assert not Principal("desk", "jwt:1", read_grants(everything)).may_enter(Room("PORTFOLIO", "p1"))

    @pytest.mark.parametrize("symbols", [["BTC/USDT"], ["bin*:x"], ["*:BTC"], [""], "binance:*", [1], None, ["a:b c"]])
    def test_grants_of_another_form_are_refused(self, symbols: object) -> None:
        with pytest.raises(ValueError, match=r"symbols|Expected|Object"):
            read_grants({"symbols": symbols})


class TestJwt:
    def test_each_algorithm_is_taken_from_its_kind_of_key(self) -> None:
        tokens = tokens_of(public_entry(rsa_key()), public_entry(ec_key()), secret_entry())
        for key in (rsa_key(), ec_key(), SECRET):
            principal = tokens.principal(make_token(key, roles=["admin"], portfolios=["p1"]), START)
            assert principal.subject == "desk"
            assert principal.grants == read_grants(
                {"roles": ["admin"], "portfolios": ["p1"], "symbols": ["*"], "data_types": ["*"]}
            )
            assert principal.expires_at == START + HOUR

    def test_token_of_another_key_is_refused(self) -> None:
        tokens = tokens_of(public_entry(rsa_key()), public_entry(ec_key()), secret_entry())
        for key in (rsa_key("other"), ec_key("other"), SECRET[::-1]):
            assert refusal_of(tokens, make_token(key)).message == "the token is not valid here"

    def test_public_key_is_no_shared_secret(self) -> None:
        pem = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        head, payload, _ = make_token("x" * 32).split(".")
        signature = hmac.digest(pem, f"{head}.{payload}".encode(), "sha256")
        forged = f"{head}.{payload}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        refusal_of(tokens_of(public_entry(rsa_key())), forged)

    @pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none"])
    def test_other_algorithms_are_refused(self, algorithm: str) -> None:
        key = "" if algorithm == "none" else SECRET * 2
        refusal_of(tokens_of(secret_entry(SECRET * 2)), make_token(key, algorithm=algorithm))

    def test_time_of_a_token_begins_and_ends(self) -> None:
        tokens = tokens_of(secret_entry())
        token = make_token(seconds=60, nbf=START / 1e6 + 10)
        refusal_of(tokens, token)
        assert tokens.principal(token, START + 10_000_000)
        assert tokens.principal(token, START + 59_999_999)
        assert refusal_of(tokens, token, START + 60_000_000).message == "the token has expired"

    def test_leeway_is_granted_to_clocks(self) -> None:
        tokens = tokens_of(secret_entry(), leeway=5_000_000)
        token = make_token(seconds=60, nbf=START / 1e6 + 10)
        assert tokens.principal(token, START + 5_000_000).expires_at == START + 65_000_000
        refusal_of(tokens, token, START + 65_000_000)

    @pytest.mark.parametrize("claim", ["exp", "sub", "iss", "aud"])
    def test_claims_that_are_needed_are_demanded(self, claim: str) -> None:
        refusal_of(tokens_of(secret_entry()), make_token(without=[claim]))

    @pytest.mark.parametrize(
        "claims",
        [
            {"iss": "https://other.example.com"},
            {"aud": "another-service"},
            {"aud": []},
            {"sub": ""},
            {"sub": 7},
            {"sub": "x" * 129},
            {"exp": "tomorrow"},
            {"exp": True},
            {"exp": 1e300},
            {"nbf": "x"},
            {"symbols": "binance"},
            {"roles": {"admin": True}},
        ],
    )
    def test_claims_that_are_not_as_they_must_be_are_refused(self, claims: dict[str, object]) -> None:
        refusal_of(tokens_of(secret_entry()), make_token(**claims))  # type: ignore[arg-type]

    def test_one_of_several_audiences_is_enough(self) -> None:
        assert tokens_of(secret_entry()).principal(make_token(aud=["x", AUDIENCE]), START)

    def test_key_is_chosen_by_its_id(self) -> None:
        tokens = tokens_of(public_entry(rsa_key("a"), "a"), public_entry(rsa_key("b"), "b"))
        assert tokens.principal(make_token(rsa_key("b"), key_id="b"), START)
        refusal_of(tokens, make_token(rsa_key("b"), key_id="a"))
        refusal_of(tokens, make_token(rsa_key("b"), key_id="c"))
        refusal_of(tokens, make_token(rsa_key("b")))

    def test_rotation_takes_new_keys_and_leaves_old_ones(self) -> None:
        tokens = tokens_of(public_entry(ec_key("old"), "1"))
        principal = tokens.principal(make_token(ec_key("old"), key_id="1"), START)
        both = key_set(public_entry(ec_key("old"), "1"), public_entry(ec_key("new"), "2"))
        tokens.replace(read_key_set(both, ["ES256"]))
        assert tokens.vouches(principal.credential)
        assert tokens.principal(make_token(ec_key("new"), key_id="2"), START)
        tokens.replace(read_key_set(key_set(public_entry(ec_key("new"), "1")), ["ES256"]))
        assert not tokens.vouches(principal.credential)
        refusal_of(tokens, make_token(ec_key("old"), key_id="1"))

    @pytest.mark.parametrize(
        ("entries", "fault"),
        [
            ([secret_entry("too short")], "32 or more"),
            ([{"kty": "OKP", "crv": "Ed25519", "x": "AA"}], "is for none of"),
            ([public_entry(rsa_key()) | {"alg": "RS512"}], "is for none of"),
            ([public_entry(ec_key()) | {"crv": "P-384"}], "is for none of"),
            ([public_entry(rsa_key()) | {"d": "AQAB"}], "private key"),
            ([public_entry(rsa_key("weak", 1024))], "2048 or more"),
            ([{"kty": "RSA", "n": "!"}], "cannot be read"),
            ([public_entry(ec_key(), "1"), public_entry(rsa_key(), "1")], "more than one key with the kid '1'"),
            ([public_entry(rsa_key()) | {"use": "enc"}], "no key"),
            ([], "no key"),
            ([public_entry(ec_key()) | {"kid": ["1"]}] * 2, "keys.0: has a kid that is no text"),
            ([public_entry(rsa_key()) | {"kid": 1}], "keys.0: has a kid that is no text"),
        ],
    )
    def test_key_set_that_would_not_protect_is_refused(self, entries: list[dict[str, object]], fault: str) -> None:
        with pytest.raises(ValueError, match=fault):
            read_key_set(key_set(*entries), ("RS256", "ES256", "HS256"))

    @pytest.mark.parametrize("text", [b"", b"[]", b'{"keys": 7}', b'{"keys": [7]}', b"{}", b"\xff", DEEP])
    def test_file_that_is_no_key_set_is_refused(self, text: bytes) -> None:
        with pytest.raises(ValueError, match="no JSON Web Key Set"):
            read_key_set(text, ("RS256",))

    def test_key_of_an_algorithm_that_is_not_allowed_is_refused(self) -> None:
        with pytest.raises(ValueError, match="HS256, which is not among the allowed RS256"):
            read_key_set(key_set(secret_entry()), ("RS256",))

    def test_secret_that_is_too_short_is_refused(self) -> None:
        with pytest.raises(ValueError, match="32 or more"):
            secret_key("x" * 31)
        assert secret_key("x" * 32).algorithm == "HS256"

    @given(st.text() | st.builds(".".join, st.lists(st.text("abcABC019-_", max_size=20), min_size=3, max_size=3)))
    def test_whatever_is_sent_is_refused(self, token: str) -> None:
        refusal_of(tokens_of(secret_entry()), token)


class TestApiKeys:
    def test_key_stands_for_its_entry_which_holds_no_secret(self) -> None:
        secret, entry = make_key("desk", read_grants({"symbols": [BTC]}))
        text = write_keys([entry])
        assert secret.rpartition("_")[2].encode() not in text
        keys = ApiKeys(read_keys(text))
        principal = keys.principal(secret, START)
        assert (principal.subject, principal.grants.symbols) == ("desk", frozenset({BTC}))
        assert keys.current(principal.credential) == principal

    def test_wrong_secrets_and_unknown_ids_are_refused_alike(self) -> None:
        secret, entry = make_key("desk", Grants())
        other, _ = make_key("desk", Grants())
        keys = ApiKeys([entry])
        wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        said = {refusal_of(keys, token).message for token in (wrong, other, secret[:30], secret + "x", "tpl_", "")}
        assert said == {"the API key is not valid here"}

    def test_key_ends(self) -> None:
        secret, entry = make_key("desk", Grants(), START + 1)
        keys = ApiKeys([entry])
        assert keys.principal(secret, START).expires_at == START + 1
        assert refusal_of(keys, secret, START + 1).message == "the API key has expired"

    def test_key_taken_away_is_known_no_more(self) -> None:
        secret, entry = make_key("desk", Grants())
        keys = ApiKeys([entry])
        principal = keys.principal(secret, START)
        keys.replace([])
        assert keys.current(principal.credential) is None
        refusal_of(keys, secret)

    def test_file_names_what_is_wrong_with_it(self) -> None:
        _, entry = make_key("desk", Grants())
        with pytest.raises(ValueError, match="more than one key with the id"):
            read_keys(write_keys([entry, entry]))
        for text, fault in [
            (b"", "no file of keys"),
            (b'{"keys":[{}]}', r"keys\[0\]"),
            (b'{"keys":[],"x":1}', "unknown field"),
        ]:
            with pytest.raises(ValueError, match=fault):
                read_keys(text)
        with pytest.raises(ValueError, match="hash"):
            read_keys(write_keys([entry]).replace(entry.hash.encode(), b"x" * 64))


class TestAuthenticator:
    def test_without_keys_everyone_is_local(self) -> None:
        authenticator = Authenticator()
        assert not authenticator.required
        assert authenticator.authenticate(None, START) is authenticator.authenticate("x", START) is LOCAL

    def test_both_kinds_of_token_are_known_side_by_side(self) -> None:
        secret, entry = make_key("robot", Grants())
        authenticator = Authenticator(tokens_of(secret_entry()), ApiKeys([entry]))
        assert authenticator.authenticate(secret, START).subject == "robot"
        assert authenticator.authenticate(make_token(), START).subject == "desk"
        for token in (None, "", "x" * 9000, "é", "tpl_x", "a.b.c"):
            refusal_of(authenticator, token)

    def test_token_that_was_seen_before_still_expires(self) -> None:
        authenticator = Authenticator(tokens_of(secret_entry()))
        token = make_token(seconds=60)
        assert authenticator.authenticate(token, START) is authenticator.authenticate(token, START + 1)
        refusal_of(authenticator, token, START + 60_000_000)

    def test_token_that_was_seen_before_is_checked_anew_when_the_keys_have_changed(self) -> None:
        tokens = tokens_of(secret_entry())
        authenticator, token = Authenticator(tokens), make_token()
        authenticator.authenticate(token, START)
        tokens.replace([secret_key("another secret, and a long one too")])
        authenticator.forget()
        refusal_of(authenticator, token)

    @pytest.mark.parametrize("values", [["Basic eDp5"], ["Bearer"], ["Bearer  "], ["Bearer a", "Bearer b"], [""]])
    def test_header_that_is_no_bearer_token_is_refused(self, values: list[str]) -> None:
        with pytest.raises(Refusal, match="Bearer TOKEN"):
            bearer(values)

    def test_token_is_found_where_it_may_stand_and_in_one_place_only(self) -> None:
        assert bearer(["bearer abc"]) == "abc"
        assert offered(["tapeline", "bearer.a.b.c"]) == "a.b.c"
        assert offered(["tapeline"]) is bearer([]) is one_token(None, None) is None
        with pytest.raises(Refusal, match="more than one"):
            offered(["bearer.a", "bearer.b"])
        with pytest.raises(Refusal, match="more than one"):
            one_token("a", "b")


def test_tokens_are_masked_wherever_they_stand_in_a_text() -> None:
    for token in (make_token(), make_key("desk", Grants())[0]):
        assert redact_text(f"GET /x {token} failed") == f"GET /x {MASK} failed"
