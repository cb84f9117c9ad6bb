"""The hand-written reader of messages about books against the codec's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.depth import Depth, DepthKind
from market.errors import DataValidationError
from schemas.codec import Codec, encode_body
from schemas.depth_decoding import decode_depth
from schemas.records import Record
from tests.folding import CARRIED
from tests.unit.test_depth_encoding import DEPTHS

IDS = {carried: 100 + number for number, carried in enumerate(CARRIED)}
PLAIN, SWIFT = (Codec(IDS, lambda schema_id: None) for _ in range(2))
SWIFT.decode_with(Depth, decode_depth)
FRAME = PLAIN.encode("md.depth", Depth("", DepthKind.DELTA, (), (), None, None, None, None, None, 0))[:5]


def read(codec: Codec, body: bytes) -> Record | str:
    try:
        return codec.decode(FRAME + body)
    except DataValidationError as error:
        return f"{error.reason}: {error}"


@given(DEPTHS)
def test_message_is_read_as_by_the_schema(depth: Depth) -> None:
    body = encode_body(depth)
    found = read(SWIFT, body)
    assert found == read(PLAIN, body)
    assert isinstance(found, Depth)
    assert all(type(ours) is type(theirs) for ours, theirs in zip(found, read(PLAIN, body), strict=True))
    if all(number >= 0 for level in (*depth.bids, *depth.asks) for number in level[:2]):
        assert decode_depth(body) is not None or max(map(abs, (number or 0 for number in longs(depth)))) >= 2**62


def longs(depth: Depth) -> list[int | None]:
    return [*depth[4:10], depth.published_at]


@given(DEPTHS, st.data())
def test_damaged_bytes_are_read_or_refused_as_by_the_schema(depth: Depth, data: st.DataObject) -> None:
    body = bytearray(encode_body(depth))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(0, len(body)) | st.just(len(body))) :]
    body += data.draw(st.binary(max_size=3))
    assert read(SWIFT, bytes(body)) == read(PLAIN, bytes(body))


@pytest.mark.parametrize("body", [b"", b"\x00", b"\xff" * 40, b"\x02a\x00\x01\x04\x02\x02\x02\x02" + b"\x00" * 20])
def test_what_is_not_a_plain_body_is_left_to_the_codec(body: bytes) -> None:
    assert decode_depth(body) is None
    assert read(SWIFT, body) == read(PLAIN, body)
