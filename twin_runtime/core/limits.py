"""Every bound, with the reason for the number. Nothing in diten grows without one.

`docs/limits.md` is printed from this file, and `tests/test_docs.py` checks that it is.
"""

# --- payloads -----------------------------------------------------------------------
# One MQTT packet other than a blob chunk. Small packets keep acknowledgements fast
# (a 64 KiB packet is 5 ms of a 100 Mbit/s link) and fit every broker's default.
# For the 15 ms until it is used or refused, one that is made of empty objects takes up to 160
# times as much, 10 MB: JSON has three bytes for what is 64 to 90 in memory.
PACKET_BYTES_MAX = 64 * 1024
# A twin's row, and so a snapshot: with its envelope it must fit one packet.
SNAPSHOT_BYTES_MAX = 48 * 1024
# Of which attributes and desired entries may take this much, and the description with
# the values of its features the rest: checked once, when a description is accepted.
EDITED_BYTES_MAX = 8 * 1024
# One report as JSON, its description included: never more than the snapshot it becomes.
REPORT_BYTES_MAX = SNAPSHOT_BYTES_MAX - EDITED_BYTES_MAX
FEATURES_MAX = 256  # features of one twin, as far as the snapshot's bytes allow
STRING_CHARS_MAX = 256  # one string value: a state, a version, a short text; not a file
ATTRIBUTES_MAX = 64  # labels of a thing, not its data; EDITED_BYTES_MAX bounds their size
ATTRIBUTE_NAME_CHARS_MAX = 64  # one name in a path of the API
ATTRIBUTE_DEPTH_MAX = 8  # objects in objects: an address, a calibration; not a document
SHAPES_MAX = 1024  # distinct sets of declared features held shared; more only cost memory

# --- delivery -----------------------------------------------------------------------
# Reports in flight to the edge. 32 rows of 177 B fill 6 KB; at 10 ms a round trip that
# is 3,200 reports/s from one device, far above any sensor.
WINDOW_REPORTS_MAX = 32
WINDOW_BYTES_MAX = SNAPSHOT_BYTES_MAX  # a largest report always fits a window
# What a device keeps until it is stable: at 1 Hz almost 3 hours without an edge, at one
# a minute almost a week; 2 MB of RAM at 200 B a row.
OUTBOX_REPORTS_MAX = 10_000
OUTBOX_BYTES_MAX = 16 * 1024 * 1024  # the same bound for devices with large reports
RETRY_FIRST_S = 0.5  # well above a healthy round trip (10 ms), below a human's patience
RETRY_LAST_S = 8.0  # a fleet of 1,000 waiting devices costs an edge 125 messages/s
OVERTAKEN_MAX = 2  # times an agent takes a larger session for its own past; then for another's

# --- the shell ----------------------------------------------------------------------
# Events handled in one go, and so rows in one commit. Only an edge that is behind has so
# many, and then they are the cheaper the more of them concern one twin: with 1,000 twins a
# report costs 46 µs in batches of 1,024 and 29 in these, which hold the loop for 80 ms.
BATCH_EVENTS_MAX = 4096
# Two commits are at least this far apart under load: at 1,000 events/s it halves the
# CPU a commit costs (0.3 ms each) and adds no more than itself to the latency. What belongs
# to a move does not wait for it: a twin is paused for four such commits, one after the other.
COMMIT_LINGER_S = 0.005
# After a twin has come, its device is told, and reports: meanwhile commits do not linger, for
# it is paused until then. A quiet cloud and a near device take 10 ms for it.
ARRIVAL_S = 0.05
# What the bus holds before it drops (and counts): 2 s of a broker's full rate. The machine is
# given all of it at once, and meanwhile as much may come: a process holds it twice.
INBOX_EVENTS_MAX = 65_536
# The same bound where messages are large: on a full disk 60 KB each made 2 GB in 12 s.
INBOX_BYTES_MAX = 32 * 1024 * 1024
AHEAD_BYTES_MAX = 4 * 1024 * 1024  # with so much before it, as with a batch, a machine gets no more
JOBS_WAITING_MAX = 16  # a machine asks for a job when the one before it is done
LOG_TEXT_CHARS_MAX = 8 * 1024  # of one line: below the 48 KiB at which a journal cuts it
STORE_RETRY_FIRST_S = 0.1
STORE_RETRY_LAST_S = 5.0  # room on a full disk is noticed within this

# --- the bus ------------------------------------------------------------------------
RECONNECT_FIRST_S = 0.1
RECONNECT_LAST_S = 5.0  # a restarted broker is found within seconds, never hammered
BUS_TIMEOUT_S = 10.0  # a broker that answers later than this is as good as gone
KEEPALIVE_S = 30  # a broker calls a silent client dead after 1.5 of them (MQTT 3.1.1)
# A connection that lasted this long was no accident: the next back-off starts anew.
CONNECTION_LASTING_S = 2 * RECONNECT_LAST_S
# A packet of 1,000 filters is 40 KB; a process of 5,000 devices has 10,000 filters.
FILTERS_PER_PACKET_MAX = 1_000
# What may wait for a slow broker: 80,000 reports, several seconds of its full rate.
OUTGOING_BYTES_MAX = 16 * 1024 * 1024
# Messages that a device writes in one turn of its event loop, in 10 ms: a process that has
# few turns, because others have the CPU, has to do with each what it can.
OUTGOING_AT_ONCE_MAX = 512
ARRIVALS_AT_ONCE_MAX = 256  # and reads in one turn, in 5 ms
GOODBYE_S = 0.5  # to a broker that hears it takes a millisecond; to one that does not, this
CLOSE_ATTEMPT_S = 2.0  # four such waits, at most, are one goodbye
CLOSE_ATTEMPTS_MAX = 3  # one of which is lost to `wait_for` before Python 3.12

# --- a broker of our own ------------------------------------------------------------
# Four seconds of a broker's full rate, for a subscriber that is busy; its default of
# 1,000 lost 95 % of a burst of 50,000.
BROKER_QUEUED_MESSAGES_MAX = 200_000
BROKER_QUEUED_BYTES_MAX = 256 * 1024 * 1024  # the same bound where messages are large
BROKER_INFLIGHT_MESSAGES_MAX = 1_000  # QoS 1 of foreign clients; ours use none
BROKER_PACKET_BYTES_MAX = 1024 * 1024  # NATS' own default; ours are below 64 KiB
PORT_ATTEMPTS_MAX = 100  # of 12,000 ports; where that many are taken something is wrong
BROKER_READY_RETRY_S = 0.01  # both are ready within 20 ms
BROKER_LOG_BYTES_MAX = 256 * 1024  # 1,500 complaints, and as many in one older file
BROKER_LAST_WORDS_BYTES_MAX = 400  # of what it said, in the error when it does not start

# --- a link made worse on purpose -----------------------------------------------------
LINK_CONNECTIONS_MAX = 256  # one for each process, and those cut off that nobody has told
LINK_PIECE_BYTES_MAX = 16 * 1024  # read in one go, and as much again waits to be read
LINK_PIECES_MAX = 64  # under way in one direction of one connection: 1 MiB, 10 MB/s at 100 ms
LINK_PIECE_S_MAX = 0.02  # a slow link carries pieces of so long: even, yet few timers

# --- levels and timers --------------------------------------------------------------
HEARTBEAT_PERIOD_S = 30.0  # `status` is repeated; readers call a device lost after 3 of them
OWNER_EXPECTED_S = 120.0  # an unknown twin's owner tells of it once a minute: then a new twin
EPOCH_BELIEVED_MAX = 2**52  # of an edge that knows better: as many are left to be given
REPUBLISH_PERIOD_S = 60.0  # retained levels are repeated: a broker may forget them
TWIN_PUBLISH_PERIOD_S = 1.0  # a twin's public topic; within it after a write at once
CHECKPOINT_PERIOD_S = 5.0  # changed twins to the cloud; bounds what an outbox must keep
CHECKPOINT_DUE_MAX = 512  # twins encoded in one go, 10 ms; the others follow in the next
CHECKPOINT_TWINS_MAX = 64  # twins in one checkpoint packet, as far as its bytes allow
# The cloud logs one checkpoint of each twin so often: with 1,000 twins of 2 KB 33 KB/s.
CHECKPOINTS_KEPT_PERIOD_S = 60.0
CHECKPOINTS_KEPT_MAX = 250_000  # so a site of 1,000 twins can look back four hours
CHECKPOINTS_KEPT_BYTES_MAX = 512 * 1024 * 1024  # the same log, where twins are larger
STABLE_MARKS_MAX = 256  # positions in one `stable` order: about 40 KiB
CHECKPOINT_RETRY_LAST_S = 60.0  # while the cloud is away
REPUBLISH_TWINS_MAX = 256  # twins repeated in one go, so that a reconnect is no burst,
REPUBLISH_PAUSE_S = 0.05  # and so long between two goes: 5,000 documents/s
TOPICS_REMEMBERED_MAX = 16_384  # parsed topics an edge remembers; more are parsed each time
ORDERS_MAX = 256  # orders sent in one go: when an edge has lost its store, all its twins wait
# Moves that the cloud begins by itself at one time, when an edge drains: at 20 ms each a
# thousand a second, and no more of a fleet is paused than this.
MOVES_AT_ONCE_MAX = 32
MOVE_KEY_CHARS_MAX = 64  # an Idempotency-Key: a UUID has 36
MOVE_KEYS_MAX = 1_000  # Idempotency-Keys remembered: a client retries within minutes
EVENTS_MAX = 100_000  # what the directory decided: 15 MB, months of moves by hand
EVENTS_BYTES_MAX = 32 * 1024 * 1024  # the same log, where the events are larger
EVENTS_RECENT_MAX = 256  # events in memory, for those who follow them as they happen
EVENTS_PAGE_MAX = 1_000  # events in one answer: 200 KB
TWINS_PAGE_MAX = 1_000  # twins in one answer, with their edge and presence: 120 KB
# Pairs of a twin and an edge in one decision: pack-and-hold takes 9 s for 1,000 twins on 3 edges.
ASSOCIATION_PAIRS_MAX = 3_000
DECISION_S_MIN = 30.0  # before a decision is given up: three times the longest
DECISIONS_MAX = 20_000  # receipts kept: a day of them at one each 10 s, and their comparisons
DECISIONS_BYTES_MAX = 32 * 1024 * 1024  # the same log, where many twins move
DECISIONS_PAGE_MAX = 200  # receipts in one answer: 200 KB, where few twins move
SITE_M_MAX = 1_000_000.0  # a thing that is farther away is not where it says
ORDER_RETRY_FIRST_S = 1.0
ORDER_RETRY_LAST_S = 30.0  # a first answer is soon missed; a long absence costs 2 orders/min
DESIRED_RETRY_FIRST_S = 1.0
DESIRED_RETRY_LAST_S = 60.0  # a device that is there is told with each of its heartbeats
COMMANDS_WAITING_MAX = 1_024  # commands of one edge whose end is waited for, over HTTP
COMMAND_RETRY_S = 1.0  # a command is short of life, and mostly lost with its connection
COMMANDS_OBEYING_MAX = 64  # commands of one device whose end is not reported yet
COMMAND_VALID_S_MAX = 86_400.0  # a day; what should hold for longer is a desired value
REFUSAL_PERIOD_S = 1.0  # at most one error answer per twin and second
REFUSALS_REMEMBERED_MAX = 4_096  # twins answered within that period; beyond, some twice

# --- blobs --------------------------------------------------------------------------
BLOB_BYTES_MAX = 64 * 1024 * 1024  # a model of 16 million parameters of 4 bytes
BLOBS_PER_TWIN_MAX = 16  # a model, its optimiser, histories: with long names 3 KB of a row
# 128 and 256 KiB carry the most; what is sent behind a window of chunks waits for 40 ms
# on a link of 100 Mbit/s, and behind one whole blob of 45 MB for four seconds.
CHUNK_BYTES_MAX = 128 * 1024
BLOB_WINDOW_CHUNKS = 4  # outstanding: with 20 chunks state waits five times as long
BLOB_FETCHES_MAX = 2  # at once, each with a window: one silent source holds up no other
BLOB_FETCHES_WAITING_MAX = 1_024  # fetches that may queue; a machine asks for fewer
BLOB_FETCHES_ASKED_MAX = 64  # of one machine at one time: a restart asks for all it refers to
BLOB_SOURCES_MAX = 4  # that are asked for one blob before it is given up for a while
# A window takes 2 s on a link of 2 Mbit/s: below that some chunks are sent twice.
BLOB_SILENCE_FIRST_S = 2.0
BLOB_SILENCE_LAST_S = 8.0
BLOB_SILENCES_MAX = 3  # in a row, and the next source is asked: 14 s
BLOB_DIGESTS_WRONG_MAX = 3  # copies that are not what they should be, before a longer pause
BLOB_WANTS_MAX = 16  # windows that others wait for: 8 MiB, half of OUTGOING_BYTES_MAX
BLOB_RETRY_FIRST_S = 1.0
BLOB_RETRY_LAST_S = 60.0  # a source that is away for an hour costs 60 questions
BLOB_THREADS_MAX = 2  # that read, write and hash blobs, apart from the one that commits
BLOB_UPLOADS_MAX = 4  # by HTTP at once; more are answered 503
BLOB_PIECE_BYTES = 1024 * 1024  # of an upload or download in memory at once
BLOBS_BYTES_MAX = 16 * 1024 * 1024 * 1024  # on one disk: 1,000 twins with 16 MiB each
BLOBS_FREE_BYTES_MIN = 64 * 1024 * 1024  # what they leave of their disk to the stores
BLOBS_MAX = 65_536  # on one disk: what a directory lists in a tenth of a second
BLOB_SWEEP_PERIOD_S = 60.0  # what nothing refers to is looked for
BLOB_GRACE_S = 3_600.0  # and kept for so long: whoever is to have it gets it meanwhile
PRECOPY_S = 30.0  # a move waits no longer for its blobs: 64 MiB on a link of 20 Mbit/s
PRECOPIES_MAX = 1_024  # twins whose blobs are copied ahead at one time; more move without

# --- HTTP ---------------------------------------------------------------------------
# Things in one page of a list: at 50 µs each a page takes about as long as one commit.
THINGS_PAGE_DEFAULT = 100
THINGS_PAGE_MAX = 200  # two such pages at once
# Things rendered, and keys searched, between two turns of the event loop: some ms each,
# for things of 256 features too.
THINGS_PER_TURN = 8
KEYS_PER_TURN = 10_000  # names, while looking for where a page begins
RQL_CHARS_MAX = 2_048  # of an expression: 50 comparisons, 50 µs for each twin it looks at
FIELDS_CHARS_MAX = 4_096  # of a field selector: a hundred paths
OPTION_CHARS_MAX = 8_192  # of a search: a cursor carries an expression and the values sorted by
SORT_PATHS_MAX = 4  # paths that a search is ordered by
SEARCH_PAGE_DEFAULT = 25  # Ditto's; at most THINGS_PAGE_MAX
SEARCHED_PER_TURN = 256  # twins looked at between two turns of the event loop: 2 ms
QUERIES_REMEMBERED_MAX = 128  # read once: what a page asks for again and again
QUERY_DEPTH_MAX = 16  # operators inside each other, names below each other
STREAM_READERS_MAX = 1_024  # of changes as they happen, each with a connection of its own
HTTP_CONNECTIONS_MAX = STREAM_READERS_MAX + 256  # at once; more are answered 503
# What a reader of changes that comes back, or is slow, still gets one by one; of what is
# further back it gets the newest state of each twin.
STREAM_RING_ROWS_MAX = 10_000
STREAM_RING_BYTES_MAX = 16 * 1024 * 1024  # the same bound where things are large
STREAM_WAITING_MAX = 1_024  # changes not yet shown to readers; beyond, the newest of each twin
STREAM_KEPT_S = 60.0  # changes are kept for so long when the last reader has gone
STREAM_PIECE_BYTES = 64 * 1024  # written to one reader in one go, and held for one that is slow
STREAM_PAUSE_S = 0.01  # between two rounds to all readers; a longer round is as long a pause
STREAM_READERS_PER_TURN = 32  # readers written to between two turns of the event loop: 2 ms
STREAM_COMMENT_S = 15.0  # a stream is never silent for longer: proxies hang up after 30 s
STREAM_STATES_BYTES_MAX = 16 * 1024 * 1024  # of things kept for readers who get all anew
STREAM_STALLED_S = 30.0  # a reader that takes nothing for so long is cut off
BODY_STALLED_S = 30.0  # a body of which nothing comes for so long is given up
HTTP_KEEPALIVE_S = 20  # an idle connection is closed after this; clients leave one after 4 to 15
HTTP_HEAD_S = 20.0  # a request whose head takes longer to come is given up, and its connection
HTTP_HEAD_BYTES_MAX = 40_960  # of a request: an option, an expression and fields, all escaped
HTTP_HEADS_LOOK_S = 1.0  # between two looks for such ones: 1 ms for all connections
HTTP_STOP_S = 0.5  # what open requests get to finish when the process stops

QUESTIONS_MAX = 1_024  # requests that wait for a commit; more are answered 503
ACK_WAIT_S = 10.0  # for a checkpoint or a command's end, unless a request says otherwise
ACK_WAIT_S_MAX = 60.0  # a connection is held for no longer
FORWARDS_MAX = 64  # writes on their way from the cloud to edges; more are answered 503
FORWARD_CONNECT_S = 2.0  # an edge that takes longer is as good as away
FORWARD_OWNER_S = 2.0  # a twin that is being activated is waited for: it takes 50 ms
FORWARD_PAUSE_S = 0.02  # between two looks whether it is
FORWARD_IDLE_S = HTTP_KEEPALIVE_S / 2  # a connection to an edge is left before the edge leaves it
ANSWER_S = 5.0  # a commit takes milliseconds; beyond this the disk is full or worse

# --- sizes of roles -----------------------------------------------------------------
TWINS_PER_EDGE_MAX = 200_000  # 300 to 460 MB of memory at 1.5 to 2.3 KB a twin
TWINS_PER_CLOUD_MAX = 1_000_000  # a thousand twins on each of EDGES_MAX edges
EDGES_MAX = 1_000  # sites of one operator; more need a second cloud
STATUSES_MAX = TWINS_PER_CLOUD_MAX + EDGES_MAX  # last statuses in the cloud's memory
DEVICES_PER_PROCESS_MAX = 5_000  # at 1 Hz, 5,000 rows/s for one process and its store
DESIRED_PER_TWIN_MAX = 64  # wishes open at one time; EDITED_BYTES_MAX bounds their size
HISTORY_ROWS_MAX = 1_000_000  # about 200 MB of history on an edge's disk
HISTORY_BYTES_MAX = 256 * 1024 * 1024  # the same disk, where the rows are larger
HISTORY_REPORTS_MAX = 64  # reports in one row: of one twin, applied in one commit
# A whole twin stands in the log each so many revisions: it makes the log of a twin of 12
# features 8 % longer, and whatever is rebuilt needs no more than as many reports.
HISTORY_STATE_REVISIONS = 64
HISTORY_READ_ROWS_MAX = 100_000  # found for one answer: a day at 1 Hz, a second in a thread
HISTORY_READ_PAGES_MAX = 400  # of the log, looked at for one answer: as many entries
HISTORY_READS_MAX = 2  # at once, each in a thread; more are answered 503
HISTORY_PAGE_DEFAULT = 1_000  # a quarter of an hour at 1 Hz, in 40 KB
HISTORY_PAGE_MAX = 10_000  # rows in one answer: 400 KB
HISTORY_POINTS_MAX = 2_000  # of a chart: more than a screen has columns
# A device's clock may be ahead of its edge's by so much before old values hide new ones.
HISTORY_SKEW_S = 60.0
EPOCHS_LOOKED_AT_MAX = 64  # ownerships of one twin by one edge, while looking into its past
HISTORY_BYTES_MIN = 4 * 1024 * 1024  # one row always fits: so many reports of the largest
LATENCIES_KEPT_MAX = 100_000  # acknowledgement latencies a fleet keeps for its summary

# --- the store's file ---------------------------------------------------------------
# 4,000 pages of 4 KiB are folded back at once: 15 to 35 % more rows/s than SQLite's
# 1,000, and the write-ahead log stays near 17 MB.
STORE_WAL_PAGES_MAX = 4_000
STORE_WAL_BYTES_KEPT = 32 * 1024 * 1024  # what a burst leaves behind is cut down to this
STORE_PAGE_ROWS_MAX = 256  # rows read at once: 12 MiB where every row is as large as may be
STORE_BUSY_S = 5.0  # a reader that recovers the file after a crash is waited for
