"""The whole system: is every twin true, and safe?"""

from deploy.grafana.panels import (
    BAD,
    BYTES,
    CLOUD,
    COUNT,
    GREEN,
    PER_S,
    RATE,
    RED,
    SECONDS,
    SHARE,
    WARN,
    YELLOW,
    Lines,
    Number,
    Panel,
    aged,
    quantiles,
    rate,
)

STALE = (
    f"sum(diten_twin_age_seconds_count{{{CLOUD}}})"
    f' - sum(diten_twin_age_seconds_bucket{{{CLOUD},le="300.0"}})'
)

FLEET: tuple[Panel, ...] = (
    Number(
        "Twins", "Owned by an edge.", COUNT, 'sum(diten_twins{job="diten-edge",phase="active"})'
    ),
    Number("Stale", "No report for five minutes (DitenTwinsStale).", COUNT, STALE, WARN),
    Number(
        "Edges up",
        "Of those Prometheus knows.",
        COUNT,
        'sum(up{job="diten-edge"})',
        ((0, RED), (1, GREEN)),
    ),
    Number(
        "Cloud",
        "1: it answers (DitenCloudDown).",
        COUNT,
        f"sum(up{{{CLOUD}}})",
        ((0, RED), (1, GREEN)),
    ),
    Number(
        "Alerts",
        "Of diten, firing now.",
        COUNT,
        'count(ALERTS{alertname=~"Diten.*",alertstate="firing"}) or vector(0)',
        BAD,
    ),
    Number(
        "Waiting",
        "Reports that devices keep until they are stable.",
        COUNT,
        "sum(diten_outbox_rows)",
    ),
    Lines(
        "Reports",
        "Applied ones are durable. Duplicates and gaps cost bandwidth, never data.",
        PER_S,
        {"{{outcome}}": rate("diten_reports_total", 'job="diten-edge"', "outcome")},
    ),
    Lines(
        "Age of twins",
        "Share of all twins whose last report is at most so old (DitenMostTwinsStale).",
        SHARE,
        {
            name: aged(le, CLOUD)
            for name, le in (
                ("10 s", "10.0"),
                ("1 min", "60.0"),
                ("5 min", "300.0"),
                ("1 h", "3600.0"),
            )
        },
    ),
    Lines(
        "Twins by edge",
        "Who owns how many.",
        COUNT,
        {"{{instance}}": 'sum by (instance) (diten_twins{job="diten-edge",phase="active"})'},
    ),
    Lines(
        "Acknowledgements",
        "From taking a batch to sending its acknowledgements; devices wait 0.5 s.",
        SECONDS,
        quantiles("diten_ack_latency_seconds", 'job="diten-edge"'),
        ((0.5, YELLOW),),
    ),
    Lines(
        "Getting stable",
        "What the cloud stored: none is DitenNothingGetsStable, behind DitenCheckpointsBehind.",
        PER_S,
        {"{{outcome}}": rate("diten_checkpoints_total", CLOUD, "outcome")},
    ),
    Lines(
        "What devices give up",
        "DitenReportsCoalesced, DitenReportsUnprotected: outboxes are full; DitenSamplesRefused.",
        PER_S,
        {
            "merged": f"sum(rate(diten_reports_coalesced_total{RATE}))",
            "unprotected": f"sum(rate(diten_reports_unprotected_total{RATE}))",
            "no value": f"sum(rate(diten_samples_refused_total{RATE}))",
        },
    ),
    Lines(
        "Refused",
        "Inputs, by reason (DitenRejects); devices, for the cloud is full (DitenTwinsRefused).",
        PER_S,
        {
            "{{reason}}": rate("diten_rejects_total", 'job=~"diten-.*"', "reason"),
            "devices": f"sum(rate(diten_twins_refused_total{{{CLOUD}}}{RATE}))",
        },
    ),
    Lines(
        "Of an epoch that is over",
        "A few with every move; lasting, an old owner goes on (DitenFenced).",
        PER_S,
        {"{{kind}}": rate("diten_fenced_total", 'job=~"diten-.*"', "kind")},
    ),
    Lines(
        "Devices",
        "By presence: a lost one did not sign off (DitenDevicesLost).",
        COUNT,
        {"{{presence}}": f"sum by (presence) (diten_devices{{{CLOUD}}})"},
    ),
    Lines(
        "Disk free",
        "Below 512 MiB: DitenDiskLow; as it falls: DitenDiskFillsUp.",
        BYTES,
        {"{{instance}}": 'diten_disk_free_bytes{job=~"diten-.*"}'},
    ),
    Lines(
        "Ready",
        "At 0 it acknowledges nothing (DitenNotReady), mostly for a full disk (DitenStoreFull).",
        COUNT,
        {
            "{{instance}}": 'diten_ready{job=~"diten-.*"}',
            "{{instance}} full": 'increase(diten_store_full_total{job=~"diten-.*"}[15m])',
        },
    ),
    Lines(
        "Commits",
        "Time to make a batch durable; 0.3 s is too slow (DitenCommitsSlow).",
        SECONDS,
        quantiles("diten_commit_seconds", 'job=~"diten-.*"'),
        ((0.3, YELLOW),),
    ),
    Lines(
        "Open files",
        "Of what it may open; connections, mostly (DitenOpenFilesNearLimit).",
        SHARE,
        {"{{instance}}": 'process_open_fds{job=~"diten-.*"} / process_max_fds{job=~"diten-.*"}'},
        ((0.8, YELLOW),),
    ),
    Lines(
        "Up since",
        "Time since each process started; a saw is DitenRestarts.",
        SECONDS,
        {"{{instance}}": 'time() - process_start_time_seconds{job=~"diten-.*"}'},
    ),
    Lines(
        "Versions",
        "Processes of each version; two for long: DitenVersionsDiffer.",
        COUNT,
        {"{{version}}": 'count by (version) (diten_build_info{job=~"diten-.*"})'},
    ),
    Lines(
        "CPU",
        "Of one core.",
        SHARE,
        {"{{instance}}": 'rate(process_cpu_seconds_total{job=~"diten-.*"}[$__rate_interval])'},
        ((0.8, YELLOW),),
    ),
    Lines(
        "Memory",
        "Resident.",
        BYTES,
        {"{{instance}}": 'process_resident_memory_bytes{job=~"diten-.*"}'},
    ),
)
