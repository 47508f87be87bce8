"""The wire under the client: what it takes off the stream, and that it is there at all."""

import asyncio
from pathlib import Path

import aiomqtt
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.adapters.broker import start_broker
from twin_runtime.adapters.mqtt_wire import WireContext, publish_packet, sort_packets
from twin_runtime.core.effects import Message, Send
from twin_runtime.testing.listening import eventually

OTHERS = [b"\xd0\x00", b"\x90\x03\x00\x01\x00", b"\x32\x07\x00\x01t\x00\x05hi"]
SENDS = st.builds(
    Send,
    topic=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    payload=st.binary(max_size=300),
    retain=st.booleans(),
)


def test_paho_and_aiomqtt_still_put_our_wire_under_their_client(tmp_path: Path) -> None:
    """The one trick of the bus: should this fail, every message goes past it unseen."""

    async def run() -> None:
        async with start_broker(folder=tmp_path) as broker:
            heard: list[Message] = []
            context = WireContext(lambda messages, _: heard.extend(messages))
            async with aiomqtt.Client(broker.host, broker.port, tls_context=context) as client:
                assert context.wire is not None, "paho did not call `wrap_socket`"
                await client.subscribe("t")
                await client.publish("t", b"through paho")
                context.wire.write([publish_packet(Send("t", b"through the wire"))])
                await eventually(lambda: len(heard) == 2)
                assert heard == [Message("t", b"through paho"), Message("t", b"through the wire")]
                assert len(client.messages) == 0

    asyncio.run(run())


@given(st.lists(SENDS | st.sampled_from(OTHERS), max_size=12), st.data())
def test_however_a_stream_is_cut_the_same_messages_come_out(
    parts: list[Send | bytes], data: st.DataObject
) -> None:
    stream = b"".join(publish_packet(p) if isinstance(p, Send) else p for p in parts)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    messages: list[Message] = []
    rest = bytearray()
    partial = b""
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        partial += stream[start:end]
        consumed, too_large = sort_packets(partial, messages, rest)
        partial = partial[consumed:]
        assert too_large == 0
    assert partial == b""
    assert messages == [Message(p.topic, p.payload) for p in parts if isinstance(p, Send)]
    assert rest == b"".join(p for p in parts if isinstance(p, bytes))


def test_a_publish_packet_is_what_the_standard_says() -> None:
    assert publish_packet(Send("a/b", b"hi")) == b"\x30\x07\x00\x03a/bhi"
    assert publish_packet(Send("a/b", b"", retain=True)) == b"\x31\x05\x00\x03a/b"
    assert publish_packet(Send("t", bytes(125)))[:3] == b"\x30\x80\x01"
