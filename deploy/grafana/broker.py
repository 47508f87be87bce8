"""The wire between devices, edges and the cloud, as they see it."""

from deploy.grafana.panels import (
    BYTES_PER_S,
    COUNT,
    PER_S,
    YELLOW,
    Lines,
    Panel,
    Words,
    rate,
)

BROKER: tuple[Panel, ...] = (
    Words(
        "What is here",
        "The broker as diten sees it: who is connected, and what had to be said again. Its own "
        "numbers (`$SYS`) are not Prometheus'; `diten doctor --bus HOST:PORT` reads them.",
    ),
    Lines(
        "Connected",
        "1: the broker has granted every subscription (DitenBusDisconnected).",
        COUNT,
        {"{{instance}}": "diten_bus_connected"},
    ),
    Lines(
        "Reconnects",
        "More than 3 in ten minutes: DitenBusFlaps.",
        COUNT,
        {"{{instance}}": "increase(diten_bus_reconnects_total[10m])"},
        ((3, YELLOW),),
    ),
    Lines(
        "Not sent",
        "There was no connection, or it was too slow. Said again later.",
        PER_S,
        {"{{instance}}": rate("diten_bus_drops_total", 'job=~"diten-.*"', "instance")},
    ),
    Lines(
        "Dropped on arrival",
        "The inbox was full (DitenInboxDrops).",
        PER_S,
        {"{{instance}}": rate("diten_inbox_drops_total", 'job=~"diten-.*"', "instance")},
    ),
    Lines(
        "Lost on the way to an edge",
        "Gaps: a report came without the one before it (DitenReportGaps).",
        PER_S,
        {"{{instance}}": rate("diten_reports_total", 'outcome="gap"', "instance")},
    ),
    Lines(
        "Sent again by devices",
        "No acknowledgement came in time (DitenRetransmissions).",
        PER_S,
        {"{{instance}}": "rate(diten_retransmissions_total[$__rate_interval])"},
    ),
    Lines(
        "Reports carried",
        "All that arrived, whatever became of them.",
        PER_S,
        {"{{instance}}": rate("diten_reports_total", 'job="diten-edge"', "instance")},
    ),
    Lines(
        "Files carried",
        "Blobs, in chunks.",
        BYTES_PER_S,
        {
            "{{instance}} {{direction}}": rate(
                "diten_blob_bytes_total", 'job=~"diten-.*"', "instance, direction"
            )
        },
    ),
)
