"""The whole system: is every twin true, and safe?"""

from deploy.grafana.panels import (
    BAD,
    BYTES,
    CLOUD,
    COUNT,
    GREEN,
    PER_S,
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
        "Share of all twins whose last report is at most so old.",
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
        "Checkpoints that the cloud stored; those behind come from a disk set back.",
        PER_S,
        {"{{outcome}}": rate("diten_checkpoints_total", CLOUD, "outcome")},
    ),
    Lines(
        "What devices give up",
        "Anything above zero: outboxes are full (DitenReportsUnprotected).",
        PER_S,
        {
            "merged": "sum(rate(diten_reports_coalesced_total[$__rate_interval]))",
            "unprotected": "sum(rate(diten_reports_unprotected_total[$__rate_interval]))",
        },
    ),
    Lines(
        "Refused",
        "Inputs that cannot be used, by reason (DitenRejects).",
        PER_S,
        {"{{reason}}": rate("diten_rejects_total", 'job=~"diten-.*"', "reason")},
    ),
    Lines(
        "Of an epoch that is over",
        "A few with every move; lasting, an old owner goes on (DitenFenced).",
        PER_S,
        {"{{kind}}": rate("diten_fenced_total", 'job=~"diten-.*"', "kind")},
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
