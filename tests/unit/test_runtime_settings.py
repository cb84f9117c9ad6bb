"""Settings: which source wins, what a file may hold, and what the operator reads when something is wrong."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from runtime.errors import ConfigurationError
from runtime.redaction import MASK, is_secret
from runtime.settings import Row, Settings, describe, load
from runtime.settings.loader import build
from runtime.settings.problems import shown
from runtime.settings.sources import Given, read_environment, read_overrides, read_yaml

EXAMPLE = Path(__file__).parents[2] / "tapeline.example.yaml"
FEED = "ingest: {feeds: {spot: {feed: binance, symbols: [binance:BTC-USDT]"


def from_yaml(text: str, environ: dict[str, str] | None = None) -> Settings:
    return build(read_yaml(text, "my.yaml", environ or {}))


def refusal(text: str = "", environ: dict[str, str] | None = None, *overrides: str) -> str:
    """The message about a file of this text, in this environment, with these options."""
    environ = environ or {}
    with pytest.raises(ConfigurationError) as caught:
        build([*read_yaml(text, "my.yaml", environ), *read_environment(environ), *read_overrides(overrides)])
    return str(caught.value)


class TestPrecedence:
    @given(st.tuples(*[st.none() | st.integers(1, 99)] * 3))
    def test_the_latest_source_that_gives_a_value_wins(self, values: tuple[int | None, int | None, int | None]) -> None:
        in_file, in_environment, on_command_line = values
        given_values = [
            *read_yaml("" if in_file is None else f"topics: {{partitions: {in_file}}}", "my.yaml", {}),
            *read_environment({} if in_environment is None else {"TAPELINE__TOPICS__PARTITIONS": str(in_environment)}),
            *read_overrides([] if on_command_line is None else [f"topics.partitions={on_command_line}"]),
        ]
        expected = next((value for value in reversed(values) if value is not None), 4)
        assert build(given_values).topics.partitions == expected

    def test_the_later_of_two_options_wins(self) -> None:
        assert build(read_overrides(["gateway.port=1", "gateway.port=2"])).gateway.port == 2

    def test_a_list_replaces_a_list(self) -> None:
        settings = build(
            [
                *read_yaml(FEED + ", channels: [trade, ticker]}}}", "f", {}),
                *read_overrides(["ingest.feeds.spot.channels=depth"]),
            ]
        )
        assert settings.ingest.feeds["spot"].channels == ("depth",)

    def test_sources_fill_one_section_together(self, tmp_path: Path) -> None:
        file = tmp_path / "my.yaml"
        file.write_text("gateway: {port: 1}\nkafka:\n")
        environ = {"TAPELINE__GATEWAY__HOST": "0.0.0.0", "TAPELINE__KAFKA__BOOTSTRAP": "b:1", "TAPELINEX": "not ours"}
        settings = load(file, environ=environ, overrides=["gateway.max_clients=3"])
        assert (settings.gateway.port, settings.gateway.host, settings.gateway.max_clients) == (1, "0.0.0.0", 3)
        assert settings.kafka.bootstrap == "b:1"

    def test_a_variable_names_the_file_unless_the_caller_does(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
        one.write_text("gateway: {port: 1}")
        two.write_text("gateway: {port: 2}")
        assert load(environ={"TAPELINE_CONFIG": str(one)}).gateway.port == 1
        assert load(two, environ={"TAPELINE_CONFIG": str(one)}).gateway.port == 2


class TestValues:
    def test_nothing_given_means_the_defaults(self) -> None:
        assert load(environ={}) == Settings() == from_yaml("# nothing") == from_yaml("{}") == from_yaml("kafka:")

    def test_settings_cannot_be_changed_afterwards(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            Settings().gateway.port = 1  # type: ignore[misc]  # that is what is tested

    def test_a_file_sets_a_feed(self) -> None:
        text = FEED + ", reconnect: {initial_seconds: 1}, options: {seed: 7}, proxy: 'http://u:p@h'}}}"
        feed = from_yaml(text).ingest.feeds["spot"]
        assert (feed.feed, feed.symbols, feed.options) == ("binance", ("binance:BTC-USDT",), {"seed": 7})
        assert feed.reconnect.backoff().delay(0, lambda: 0.0) == 1.0
        assert feed.proxy is not None
        assert feed.proxy.get_secret_value() == "http://u:p@h"

    def test_the_environment_can_set_a_whole_feed(self) -> None:
        environ = {
            "TAPELINE__INGEST__FEEDS__SIM__FEED": "simulated",
            "TAPELINE__INGEST__FEEDS__SIM__SYMBOLS": "sim:A-B, sim:C-D",
            "TAPELINE__INGEST__FEEDS__SIM__OPTIONS__SEED": "7",
            "TAPELINE__PROCESSORS__PRICE_CHANGES__SIGNIFICANCE__PERCENT": "0.10",
            "TAPELINE__PROCESSORS__PRICE_CHANGES__THROTTLE__ENABLED": "false",
        }
        settings = build(read_environment(environ))
        assert settings.ingest.feeds["sim"].symbols == ("sim:A-B", "sim:C-D")
        assert settings.ingest.feeds["sim"].options == {"seed": "7"}
        assert settings.processors.price_changes.significance.percent == Decimal("0.10")
        assert settings.processors.price_changes.throttle.enabled is False

    def test_an_empty_text_means_that_an_optional_value_is_absent(self) -> None:
        environ = {"TAPELINE__KAFKA__SECURITY__USERNAME": "", "TAPELINE__KAFKA__SECURITY__PASSWORD": ""}
        assert build(read_environment(environ)).kafka.security.username is None

    def test_a_variable_may_hold_what_the_file_needs_as_a_number_or_a_list(self) -> None:
        text = FEED.replace("[binance:BTC-USDT]", "'${SYMBOLS}'") + "}}}\ntopics: {partitions: '${N:-3}'}"
        settings = from_yaml(text, {"SYMBOLS": "a:b,c:d"})
        assert settings.ingest.feeds["spot"].symbols == ("a:b", "c:d")
        assert settings.topics.partitions == 3

    def test_feeds_may_share_lines_by_a_yaml_anchor(self) -> None:
        text = """
        ingest:
          feeds:
            one: &one
              <<: &base {feed: binance, heartbeat_seconds: 5}
              feed: okx
              symbols: [a:b]
            two: *one
            three: {<<: *base, symbols: [c:d]}
        """
        feeds = from_yaml(text).ingest.feeds
        assert feeds["one"] == feeds["two"]
        assert (feeds["three"].feed, feeds["three"].heartbeat_seconds) == ("binance", 5.0)

    def test_the_home_folder_may_be_written_as_a_tilde(self) -> None:
        assert from_yaml("processors: {state_dir: ~/x}").processors.state_dir == Path.home() / "x"


class TestRefusals:
    def test_an_unknown_key_is_refused_with_a_proposal(self) -> None:
        assert refusal("kafka:\n  bootstap: x") == (
            "kafka.bootstap: is not a setting (from my.yaml:2); did you mean kafka.bootstrap?"
        )

    def test_a_key_of_another_section_is_found(self) -> None:
        assert refusal("", None, "kafka.mechanism=PLAIN").endswith("did you mean kafka.security.mechanism?")

    def test_a_wrong_value_is_refused_with_its_line(self) -> None:
        assert refusal("gateway:\n\n  port: many") == (
            "gateway.port: must be a valid integer, unable to parse string as an integer (got 'many' from my.yaml:3)"
        )

    def test_a_wrong_value_is_refused_with_its_variable(self) -> None:
        message = refusal("gateway: {port: 1}", {"TAPELINE__GATEWAY__PORT": "70000"})
        assert message == "gateway.port: must be less than or equal to 65535 (got '70000' from TAPELINE__GATEWAY__PORT)"

    def test_a_wrong_value_is_refused_with_its_option(self) -> None:
        assert refusal("", None, "sinks.batch_rows=0").endswith("(got '0' from --set)")

    def test_every_problem_is_listed(self) -> None:
        message = refusal("gateway: {port: x}", {"TAPELINE__SINKS__BATCH_ROWS": "y"}, "topics.partitions=z")
        assert [line.partition(":")[0] for line in message.splitlines()] == [
            "topics.partitions",
            "sinks.batch_rows",
            "gateway.port",
        ]

    def test_a_missing_value_is_refused_with_the_place_of_its_neighbours(self) -> None:
        text = "ingest:\n  feeds:\n    spot:\n      feed: binance"
        assert refusal(text) == "ingest.feeds.spot.symbols: is required (from my.yaml:4)"

    def test_a_list_item_is_refused_by_its_position(self) -> None:
        assert refusal(FEED + ", channels: [trade, 1]}}}") == (
            "ingest.feeds.spot.channels.1: must be a valid string (from my.yaml:1)"
        )

    def test_a_name_given_twice_is_refused(self) -> None:
        assert "names 'a' more than once" in refusal("processors: {agents: [a, b, a]}")

    def test_a_value_in_place_of_a_section_is_refused(self) -> None:
        assert refusal("kafka: localhost") == (
            "kafka: is a section: give its settings one by one (got 'localhost' from my.yaml:1)"
        )
        assert refusal("kafka: localhost", {"TAPELINE__KAFKA__BOOTSTRAP": "b:1"}) == (
            "kafka: is a section for kafka.bootstrap (from TAPELINE__KAFKA__BOOTSTRAP), but has a value (from my.yaml:1)"
        )

    def test_a_section_in_place_of_a_value_is_refused(self) -> None:
        assert refusal("kafka: {bootstrap: {host: x}}") == "kafka.bootstrap: must be a valid string (from my.yaml:1)"

    def test_an_unset_variable_is_named_with_key_and_line(self) -> None:
        assert refusal("\npostgres:\n  dsn: postgresql://${PGUSER}@h/d") == (
            "postgres.dsn: the environment variable PGUSER is not set (from my.yaml:3)"
        )

    def test_an_unset_variable_in_a_list_is_named_with_key_and_line(self) -> None:
        assert refusal("processors:\n  agents:\n    - candles\n    - ${AGENT}") == (
            "processors.agents.1: the environment variable AGENT is not set (from my.yaml:4)"
        )

    def test_a_key_given_twice_is_refused(self) -> None:
        assert refusal("gateway:\n  port: 1\n  port: 2") == "gateway.port: is given more than once (from my.yaml:3)"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("kafka: [", "my.yaml:1 is not valid YAML: expected the node content, but found '<stream end>'"),
            ("a: 1\nb: !!python/object:os.system x", "my.yaml:2 is not valid YAML: could not determine a constructor"),
            ("a: \x00", "my.yaml is not valid YAML"),
            ("- kafka", "settings are a mapping of sections (from my.yaml:1)"),
            ("kafka", "settings are a mapping of sections (from my.yaml:1)"),
            ("? [a]\n: b", "a name is expected before the colon (from my.yaml:1)"),
            ("a: &a {b: *a}", "a.b.b: is nested too deeply (from my.yaml:1)"),
            ("a: &a [*a]", "a.0.0: is nested too deeply (from my.yaml:1)"),
        ],
    )
    def test_a_file_that_holds_no_settings_is_refused(self, text: str, message: str) -> None:
        assert refusal(text).startswith(message)

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        missing, binary = tmp_path / "missing.yaml", tmp_path / "binary.yaml"
        binary.write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigurationError, match=f"{missing} cannot be read: No such file"):
            load(missing, environ={})
        with pytest.raises(ConfigurationError, match=f"{binary} is not UTF-8"):
            load(binary, environ={})

    @pytest.mark.parametrize(
        ("environ", "option", "message"),
        [
            ({}, "gateway.port", "--set gateway.port is not of the form key=value"),
            ({}, "gateway..port=1", "--set gateway..port does not name a setting: a part of the key is empty"),
            ({"TAPELINE__": "1"}, "gateway.port=1", "TAPELINE__ does not name a setting: a part of the key is empty"),
        ],
    )
    def test_a_source_that_names_no_setting_is_refused(self, environ: dict[str, str], option: str, message: str) -> None:
        assert refusal("", environ, option) == message

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("kafka: {bootstrap: 'a:1, b'}", "'b' is not of the form host:port"),
            ("kafka: {security: {protocol: SASL_SSL}}", "needs username and password"),
            ("kafka: {security: {protocol: SASL_PLAINTEXT, username: u, password: p}}", "sends the password unencrypted"),
            ("kafka: {security: {username: u, password: p}}", "protocol PLAINTEXT does not use them"),
            (f"kafka: {{security: {{ca_file: '{EXAMPLE}'}}}}", "protocol PLAINTEXT does not use them"),
            (f"kafka: {{security: {{protocol: SSL, key_file: '{EXAMPLE}'}}}}", "are needed together"),
            ("kafka: {security: {protocol: SSL, ca_file: /no/such/file}}", "Path does not point to a file"),
            ("registry: {username: u}", "are needed together"),
            ("registry: {url: 'ftp://h'}", "must be an http:// or https:// URL"),
            ("topics: {min_insync_replicas: 2}", "nothing could be written"),
            ("processors: {worker: {heartbeat_seconds: 20}}", "at most a third"),
            ("processors: {grace_seconds: .nan}", "must be a finite number"),
            ("ingest: {feeds: {Spot: {feed: a, symbols: [b]}}}", "must be of small letters"),
            (FEED + ", reconnect: {initial_seconds: 60}}}}", "initial_seconds is above maximum_seconds"),
        ],
    )
    def test_values_that_contradict_each_other_are_refused(self, text: str, message: str) -> None:
        assert message in refusal(text)


class TestSecrets:
    def test_secrets_are_masked_where_settings_are_shown(self) -> None:
        settings = from_yaml("postgres: {dsn: 'postgresql://u:hunter2@h/d'}")
        assert settings.postgres.dsn.get_secret_value() == "postgresql://u:hunter2@h/d"
        assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()

    @pytest.mark.parametrize(
        "text",
        [
            "postgres: {dsn: [hunter2]}",
            "postgres: {passwrd: hunter2}",
            "registry: {url: 'http://u:hunter2@h'}",
            "ingest: {feeds: {spot: {proxy: [hunter2]}}}",
            "kafka: {security: {password: hunter2, protocol: SASL_SSL}}",
            "postgres: {dsn: hunter2, dsn: hunter2}",
            "postgres: {dsn: hunter2 ${UNSET}}",
            "postgres: {dsn: hunter2: x}",
        ],
    )
    def test_secrets_are_masked_in_refusals(self, text: str) -> None:
        assert "hunter2" not in refusal(text)

    @pytest.mark.parametrize("proxy", ["hunter2", "ftp://hunter2", "http://u:hunter2 @h"])
    def test_proxy_that_is_none_is_refused_without_being_shown(self, proxy: str) -> None:
        message = refusal(f"ingest: {{feeds: {{spot: {{feed: binance, symbols: [a], proxy: '{proxy}'}}}}}}")
        assert "ingest.feeds.spot.proxy: must be the URL of a proxy" in message
        assert "hunter2" not in message

    def test_a_value_taken_from_the_environment_is_shown_as_written(self) -> None:
        message = refusal("gateway: {port: '${SOMETHING}'}", {"SOMETHING": "hunter2"})
        assert "(got '${SOMETHING}' from my.yaml:1)" in message

    def test_every_setting_declared_as_secret_is_masked(self) -> None:
        secrets = [row.key for row in describe() if "secret" in row.type]
        assert len(secrets) >= 5
        assert {shown(tuple(key.split(".")), "hunter2") for key in secrets} == {MASK}

    def test_every_setting_with_the_name_of_a_secret_is_declared_as_one(self) -> None:
        assert [row.key for row in describe() if is_secret(row.key) and "secret" not in row.type] == []

    def test_a_long_value_is_cut(self) -> None:
        assert len(shown(("gateway", "host"), "x" * 500)) < 100


class TestReference:
    def test_every_setting_has_a_description_and_a_type(self) -> None:
        assert [row.key for row in describe() if not (row.description.endswith(".") and row.type)] == []

    def test_a_setting_is_listed_with_its_default_and_its_variable(self) -> None:
        rows = {row.key: row for row in describe()}
        port = rows["gateway.port"]
        assert port == Row("gateway.port", "integer", "8080", "Port for REST and WebSocket; 0 takes a free one.")
        assert port.variable == "TAPELINE__GATEWAY__PORT"
        assert rows["ingest.feeds.NAME.symbols"].default == "(required)"
        assert rows["kafka.security.username"].type == "text, or nothing"
        assert rows["kafka.security.protocol"].type == "PLAINTEXT | SSL | SASL_PLAINTEXT | SASL_SSL"

    def test_the_default_in_the_list_is_the_default_in_force(self) -> None:
        listed = [
            Given(tuple(row.key.split(".")), row.default, "list", row.default)
            for row in describe()
            if row.default and "NAME" not in row.key
        ]
        assert len(listed) > 40
        assert build(listed) == Settings()

    def test_the_example_file_shows_the_defaults(self) -> None:
        example = load(EXAMPLE, environ={})
        assert list(example.ingest.feeds) == ["binance_spot"]
        spot = example.ingest.feeds["binance_spot"]
        assert spot == type(spot)(feed="binance", symbols=spot.symbols)
        without_feeds = example.ingest.model_copy(update={"feeds": {}})
        assert example.model_copy(update={"ingest": without_feeds}) == Settings()

    def test_the_example_file_names_every_setting(self) -> None:
        text = EXAMPLE.read_text()
        unnamed = [row.key for row in describe() if f"{row.key.split('.')[-1]}:" not in text]
        assert [key.split(".")[-1] for key in unnamed] == ["allow_sasl_without_tls"]


def test_settings_load_without_the_clients_they_configure() -> None:
    program = "import sys, runtime.settings; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "pydantic" in loaded
    assert not {"confluent_kafka", "aiokafka", "faust", "structlog", "prometheus_client"} & set(loaded)


def test_a_secret_default_is_a_secret() -> None:
    assert isinstance(Settings().postgres.dsn, SecretStr)
