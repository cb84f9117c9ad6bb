"""Answers of Chinese sources, as they are on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.ingest_parts import ROOT

CN = ROOT / "tests" / "data" / "cn"
FIGURES: dict[str, list[Any]] = json.loads((CN / "figures.json").read_text(encoding="utf-8"))

EIGHT_HOURS = 8 * 3_600_000_000
SECOND = 1_000_000
SINA_SYMBOLS = ("sz160922", "sz160923", "sz160924")


def recorded(name: str) -> bytes:
    """A recorded answer, in GBK again."""
    return (CN / name).read_text(encoding="utf-8").encode("gbk")


def sina_row(symbol: str, **told: object) -> bytes:
    """A line of Sina's about a share: `last`, `volume` (shares), `amount` (yuan), `time` (date and time), `status`."""
    given = {"last": "10.00", "volume": "1000", "amount": "10000.00", "time": "2024-08-09 10:00:00", "status": "00", **told}
    date, time = str(given["time"]).split()
    last = given["last"]
    book = ",".join(["100", "9.99", *["0", "0.00"] * 4, "200", "10.01", *["0", "0.00"] * 4])
    fields = ["平安银行", "9.90", "9.80", last, last, last, "9.99", "10.01", given["volume"], given["amount"], book, date, time]
    return f'var hq_str_{symbol}="{",".join(map(str, fields))},{given["status"]}";\n'.encode("gbk")


def sina_answer(rows: Iterable[bytes]) -> bytes:
    return b"".join(rows)


def tencent_row(figures: Mapping[str, str], **changed: str) -> bytes:
    """A line of Tencent's with 88 fields, made of written figures."""
    told = {**figures, **changed}
    fields = [""] * 88
    places = {
        2: told["symbol"][2:],
        3: told["last"],
        4: told["previous_close"],
        5: told["open"],
        6: told["hands"],
        9: told["bid"],
        10: told["bid_hands"],
        19: told["ask"],
        20: told["ask_hands"],
        30: told["time"],
        31: told["change"],
        32: told["change_percent"],
        33: told["high"],
        34: told["low"],
        35: f"{told['last']}/{told['hands']}/{told['yuan']}",
        37: told["ten_thousand_yuan"],
        40: told.get("status", ""),
    }
    for number, text in places.items():
        fields[number] = text
    fields[0], fields[1] = "1", "贵州茅台"
    return f'v_{told["symbol"]}="{"~".join(fields)}";\n'.encode("gbk")


def eastmoney_answer(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return json.dumps({"rc": 0, "data": {"total": 2, "diff": list(rows)}}).encode()
