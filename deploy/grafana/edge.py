"""One edge, or several."""

from deploy.grafana.panels import (
    BYTES,
    BYTES_PER_S,
    COUNT,
    EDGE,
    GREEN,
    PER_S,
    RATE,
    RED,
    SECONDS,
    SHARE,
    YELLOW,
    Lines,
    Number,
    Panel,
    aged,
    quantiles,
    rate,
)

ONE_EDGE: tuple[Panel, ...] = (
    Number(
        "Up", "It answers (DitenEdgeDown).", COUNT, f"min(up{{{EDGE}}})", ((0, RED), (1, GREEN))
    ),
    Number(
        "Ready",
        "It can store what it takes on (DitenNotReady).",
        COUNT,
        f"min(diten_ready{{{EDGE}}})",
        ((0, RED), (1, GREEN)),
    ),
    Number(
        "Broker",
        "Connected (DitenBusDisconnected).",
        COUNT,
        f"min(diten_bus_connected{{{EDGE}}})",
        ((0, RED), (1, GREEN)),
    ),
    Number("Twins", "That it owns.", COUNT, f'sum(diten_twins{{{EDGE},phase="active"}})'),
    Number(
        "Disk free",
        "Below 512 MiB: DitenDiskLow.",
        BYTES,
        f"min(diten_disk_free_bytes{{{EDGE}}})",
        ((0, RED), (512 * 2**20, GREEN)),
    ),
    Number(
        "Up since",
        "Time since its process started.",
        SECONDS,
        f"time() - max(process_start_time_seconds{{{EDGE}}})",
    ),
    Lines(
        "Reports",
        "By what became of them.",
        PER_S,
        {"{{outcome}}": rate("diten_reports_total", EDGE, "outcome")},
    ),
    Lines(
        "Age of its twins",
        "Share whose last report is at most so old.",
        SHARE,
        {
            name: aged(le, EDGE)
            for name, le in (("10 s", "10.0"), ("1 min", "60.0"), ("5 min", "300.0"))
        },
    ),
    Lines(
        "Commits",
        "Time to make a batch durable; 0.3 s is too slow (DitenCommitsSlow).",
        SECONDS,
        quantiles("diten_commit_seconds", EDGE),
        ((0.3, YELLOW),),
    ),
    Lines(
        "Acknowledgements",
        "Devices wait 0.5 s (DitenAcksSlow).",
        SECONDS,
        quantiles("diten_ack_latency_seconds", EDGE),
        ((0.5, YELLOW),),
    ),
    Lines(
        "Twins by phase",
        "Sealed ones are on their way to another edge.",
        COUNT,
        {"{{phase}}": f"sum by (phase) (diten_twins{{{EDGE}}})"},
    ),
    Lines(
        "Outboxes of its devices",
        "Reports on average; a device keeps 10,000 (DitenOutboxesFill).",
        COUNT,
        {
            "{{instance}}": f"diten_outbox_rows{{{EDGE}}}"
            f' / on(job, instance) diten_twins{{{EDGE},phase="active"}}'
        },
        ((5000, YELLOW),),
    ),
    Lines(
        "Refused",
        "By reason (DitenRejects).",
        PER_S,
        {"{{reason}}": rate("diten_rejects_total", EDGE, "reason")},
    ),
    Lines(
        "Dropped",
        "Inbox full: it is behind (DitenInboxDrops). Not sent: the broker was away.",
        PER_S,
        {
            "{{instance}} inbox": rate("diten_inbox_drops_total", EDGE, "instance"),
            "{{instance}} not sent": rate("diten_bus_drops_total", EDGE, "instance"),
        },
    ),
    Lines(
        "Edits",
        "Of attributes and desired values, asked for over HTTP.",
        PER_S,
        {"{{outcome}}": rate("diten_edits_total", EDGE, "outcome")},
    ),
    Lines(
        "Waiting",
        "Requests over HTTP for a commit; at 1,024 more are answered 503.",
        COUNT,
        {"{{kind}}": f"sum by (kind) (diten_queue_backlog{{{EDGE}}})"},
        ((512, YELLOW),),
    ),
    Lines(
        "Commands",
        "By their end; expired or without an answer: DitenCommandsUnanswered.",
        PER_S,
        {"{{outcome}}": rate("diten_commands_total", EDGE, "outcome")},
    ),
    Lines(
        "CPU",
        "Of one core.",
        SHARE,
        {"{{instance}}": f"rate(process_cpu_seconds_total{{{EDGE}}}{RATE})"},
        ((0.8, YELLOW),),
    ),
    Lines(
        "Memory and disk",
        "Resident memory, and files of twins on the disk.",
        BYTES,
        {
            "{{instance}} memory": f"process_resident_memory_bytes{{{EDGE}}}",
            "{{instance}} blobs": f"diten_blob_bytes_held{{{EDGE}}}",
        },
    ),
    Lines(
        "Open files",
        "Connections, mostly; 80 % of the limit is DitenOpenFilesNearLimit.",
        COUNT,
        {
            "{{instance}} open": f"process_open_fds{{{EDGE}}}",
            "{{instance}} limit": f"process_max_fds{{{EDGE}}}",
        },
    ),
    Lines(
        "Moves away and here",
        "Bytes of files copied ahead of moves.",
        BYTES_PER_S,
        {"{{instance}}": rate("diten_move_bytes_total", EDGE, "instance")},
    ),
)
