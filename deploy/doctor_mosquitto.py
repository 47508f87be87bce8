"""What `diten doctor` reads in a Mosquitto configuration.

Only what costs something is judged: a broker with other settings works, too.
"""

from collections.abc import Mapping

from deploy.doctor_finding import Finding
from twin_runtime.core.limits import (
    BROKER_PACKET_BYTES_MAX,
    BROKER_QUEUED_MESSAGES_MAX,
    CHUNK_BYTES_MAX,
)

DEFAULT_QUEUED = 1000  # messages, in Mosquitto 2


def check_configuration(text: str) -> list[Finding]:
    """Judge the text of a `mosquitto.conf`."""
    options = _options(text)
    return [
        _listener(options),
        _queue(options),
        _delay(options),
        _packets(options),
        _persistence(options),
        _access(options),
        _secured(options),
    ]


def _options(text: str) -> dict[str, str]:
    """The last value of each option; a comment takes a whole line."""
    lines = (line.strip().partition(" ") for line in text.splitlines())
    return {name: value.strip() for name, _, value in lines if name and not name.startswith("#")}


def _number(options: Mapping[str, str], name: str, default: int) -> int:
    """An option's value; one that is no number Mosquitto itself refuses."""
    value = options.get(name, "")
    return int(value) if value.isdecimal() else default


def _listener(options: Mapping[str, str]) -> Finding:
    if "listener" in options or "port" in options:
        return Finding("listener", options.get("listener") or options["port"])
    costs = "since version 2, a Mosquitto without one is reached from its own machine alone"
    return Finding("listener", "none", "warning", costs, "listener 1883")


def _queue(options: Mapping[str, str]) -> Finding:
    queued = _number(options, "max_queued_messages", DEFAULT_QUEUED)
    found = f"{queued:,} messages for a client that is slow"
    do = f"max_queued_messages {BROKER_QUEUED_MESSAGES_MAX}"
    if queued == 0 and "max_queued_bytes" not in options:
        costs = "one client that hangs takes all of the broker's memory"
        return Finding("queue", "no bound", "warning", costs, do)
    if 0 < queued < BROKER_QUEUED_MESSAGES_MAX // 10:
        costs = "of a burst most is dropped without a word, and sent again by its devices"
        return Finding("queue", found, "wrong", costs, do)
    return Finding("queue", found)


def _delay(options: Mapping[str, str]) -> Finding:
    if options.get("set_tcp_nodelay") == "true":
        return Finding("small packets", "sent at once")
    costs = "they wait for each other: 2,000 take 1.8 s instead of 0.12"
    return Finding("small packets", "held back", "wrong", costs, "set_tcp_nodelay true")


def _packets(options: Mapping[str, str]) -> Finding:
    largest = _number(options, "max_packet_size", 0)
    if largest == 0:
        costs = "anybody may send 256 MB at once, and the broker keeps it for whoever is slow"
        do = f"max_packet_size {BROKER_PACKET_BYTES_MAX}"
        return Finding("packets", "no bound", "warning", costs, do)
    if largest < 2 * CHUNK_BYTES_MAX:
        costs = f"chunks of files are up to {CHUNK_BYTES_MAX:,} bytes: moves with files fail"
        do = f"max_packet_size {BROKER_PACKET_BYTES_MAX}"
        return Finding("packets", f"up to {largest:,} bytes", "wrong", costs, do)
    return Finding("packets", f"up to {largest:,} bytes")


def _persistence(options: Mapping[str, str]) -> Finding:
    if options.get("persistence", "false") == "false":
        return Finding("persistence", "off: nobody relies on it")
    costs = "writes to its disk, for what its publishers would repeat anyway"
    return Finding("persistence", "on", "warning", costs, "persistence false")


def _access(options: Mapping[str, str]) -> Finding:
    if "acl_file" in options or "plugin" in options:
        return Finding("access rules", options.get("acl_file") or options["plugin"])
    costs = "whoever reaches the broker may speak for any device and any edge"
    return Finding("access rules", "none", "warning", costs, "acl_file, see deploy/mosquitto")


def _secured(options: Mapping[str, str]) -> Finding:
    """TLS that proves one side alone lets everybody in under any name."""
    if "certfile" not in options:
        return Finding("TLS", "none: for a network of the site's own")
    if options.get("require_certificate") == "true":
        return Finding("TLS", "both sides prove their names")
    costs = "whoever reaches the broker may claim any name"
    do = "require_certificate true, use_identity_as_username true"
    return Finding("TLS", "the broker alone proves its name", "warning", costs, do)
