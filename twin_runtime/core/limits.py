"""Every bound, with the reason for the number. Nothing in diten grows without one.

`docs/operations.md` lists them and `tests/test_docs.py` checks that it does.
"""

# --- payloads -----------------------------------------------------------------------
# One MQTT packet other than a blob chunk. Small packets keep acknowledgements fast
# (a 64 KiB packet is 5 ms of a 100 Mbit/s link) and fit every broker's default.
PACKET_BYTES_MAX = 64 * 1024
# One report as JSON: 40 such rows would fill a packet; 100 numeric features need half.
REPORT_BYTES_MAX = 8 * 1024
# A twin's row, and so a snapshot: with its envelope it must fit one packet.
SNAPSHOT_BYTES_MAX = 48 * 1024
FEATURES_MAX = 256  # features of one twin; with the description, a row stays below 48 KiB
STRING_BYTES_MAX = 1024  # one string value: a state, a version, a short text; not a file
ATTRIBUTES_MAX = 64

# --- delivery -----------------------------------------------------------------------
# Reports in flight to the edge. 32 rows of 177 B fill 6 KB; at 10 ms a round trip that
# is 3,200 reports/s from one device, far above any sensor.
WINDOW_REPORTS_MAX = 32
WINDOW_BYTES_MAX = 48 * 1024
# What a device keeps until it is stable: at 1 Hz almost 3 hours without an edge, at one
# a minute almost a week; 2 MB of RAM at 200 B a row.
OUTBOX_REPORTS_MAX = 10_000
RETRY_FIRST_S = 0.5  # well above a healthy round trip (10 ms), below a human's patience
RETRY_LAST_S = 8.0  # a fleet of 1,000 waiting devices costs an edge 125 messages/s

# --- the shell ----------------------------------------------------------------------
# Events handled in one go, and so rows in one commit: at 5 µs a row, 512 keep a batch
# near 3 ms while one fsync is shared by all of them.
BATCH_EVENTS_MAX = 512
# Two commits are at least this far apart under load: at 1,000 events/s it halves the
# CPU a commit costs (0.3 ms each) and adds no more than itself to the latency.
COMMIT_LINGER_S = 0.005
# What a process holds before it drops (and counts): 2 s of a broker's full rate.
INBOX_EVENTS_MAX = 65_536
STORE_RETRY_FIRST_S = 0.1
STORE_RETRY_LAST_S = 5.0

# --- the bus ------------------------------------------------------------------------
RECONNECT_FIRST_S = 0.1
RECONNECT_LAST_S = 5.0  # a restarted broker is found within seconds, never hammered
BUS_TIMEOUT_S = 10.0
KEEPALIVE_S = 30

# --- levels and timers --------------------------------------------------------------
HEARTBEAT_PERIOD_S = 30.0  # `status` is repeated; readers call a device lost after 3 of them
REPUBLISH_PERIOD_S = 60.0  # retained levels are repeated: a broker may forget them
TWIN_PUBLISH_PERIOD_S = 1.0  # a twin's public topic at most once a second
CHECKPOINT_PERIOD_S = 5.0  # changed twins to the cloud; bounds what an outbox must keep
CHECKPOINT_TWINS_MAX = 32  # twins in one checkpoint packet, as far as its bytes allow
ORDER_RETRY_FIRST_S = 1.0
ORDER_RETRY_LAST_S = 30.0
COMMAND_VALID_S_MAX = 86_400.0
REFUSAL_PERIOD_S = 1.0  # at most one error answer per twin and second
REFUSALS_REMEMBERED_MAX = 4_096

# --- sizes of roles -----------------------------------------------------------------
TWINS_PER_EDGE_MAX = 200_000
TWINS_PER_CLOUD_MAX = 1_000_000
EDGES_MAX = 1_000
DEVICES_PER_PROCESS_MAX = 5_000
DESIRED_PER_TWIN_MAX = 64
HISTORY_ROWS_MAX = 1_000_000  # about 200 MB of history on an edge's disk
HISTORY_BYTES_MAX = 256 * 1024 * 1024
LATENCIES_KEPT_MAX = 100_000  # acknowledgement latencies a fleet keeps for its summary
