"""Twins that change their edge, and the files that go with them."""

from deploy.grafana.panels import (
    BYTES_PER_S,
    CLOUD,
    COUNT,
    PER_S,
    RATE,
    SECONDS,
    WARN,
    YELLOW,
    Lines,
    Number,
    Panel,
    quantiles,
    rate,
)

MOVES: tuple[Panel, ...] = (
    Number(
        "On their way",
        "Sealing or activating now.",
        COUNT,
        f'sum(diten_twins{{{CLOUD},phase=~"sealing|activating"}})',
    ),
    Number(
        "Done",
        "In the time shown.",
        COUNT,
        'sum(increase(diten_moves_total{result="done"}[$__range]))',
    ),
    Number(
        "Failed over",
        "Twins restored from checkpoints (DitenFailovers).",
        COUNT,
        "sum(increase(diten_failovers_total[$__range]))",
        WARN,
    ),
    Number(
        "Pause, half",
        "Half of the moves paused their twin for less.",
        SECONDS,
        "histogram_quantile(0.5, sum by (le) (rate(diten_move_pause_seconds_bucket[$__range])))",
        ((1, YELLOW),),
    ),
    Number(
        "Pause, 95 %",
        "Above 1 s: DitenMovePauseLong.",
        SECONDS,
        "histogram_quantile(0.95, sum by (le) (rate(diten_move_pause_seconds_bucket[$__range])))",
        ((1, YELLOW),),
    ),
    Number(
        "Files lacking",
        "That nobody who is up has (DitenBlobsLacking).",
        COUNT,
        "sum(diten_blobs_lacking)",
        WARN,
    ),
    Lines(
        "Moves",
        "Begun without done: DitenMovesStuck.",
        PER_S,
        {"{{result}}": rate("diten_moves_total", CLOUD, "result")},
    ),
    Lines(
        "Pause",
        "From asking the owner to seal to the next owner's word.",
        SECONDS,
        quantiles("diten_move_pause_seconds", CLOUD),
        ((1, YELLOW),),
    ),
    Lines(
        "Twins on their way",
        "By phase, at the cloud (DitenTwinsUnowned, DitenMovesStuck).",
        COUNT,
        {"{{phase}}": f'sum by (phase) (diten_twins{{{CLOUD},phase=~"sealing|activating"}})'},
    ),
    Lines(
        "Twins by edge",
        "Where they went.",
        COUNT,
        {"{{instance}}": 'sum by (instance) (diten_twins{job="diten-edge",phase="active"})'},
    ),
    Lines(
        "Decisions",
        "Of the association; failed ones were not made in time (DitenDecisionsFail).",
        PER_S,
        {"{{outcome}}": rate("diten_decisions_total", CLOUD, "outcome")},
    ),
    Lines(
        "Failovers",
        "Twins that began anew from a checkpoint.",
        PER_S,
        {"twins": f"rate(diten_failovers_total{{{CLOUD}}}{RATE})"},
    ),
    Lines(
        "Whose owner the store forgot",
        "Taken over as edges say (DitenCloudStoreOld), and left alone (DitenTwinsLeftAlone).",
        COUNT,
        {
            "taken over": f"increase(diten_twins_adopted_total{{{CLOUD}}}{RATE})",
            "{{reason}}": f"sum by (reason) (diten_twins_left_alone{{{CLOUD}}})",
        },
    ),
    Lines(
        "Files copied ahead",
        "So that a twin does not wait for them.",
        BYTES_PER_S,
        {"{{instance}}": rate("diten_move_bytes_total", 'job=~"diten-.*"', "instance")},
    ),
    Lines(
        "Files that did not come",
        "By reason; tried again (DitenBlobsWithoutRoom, DitenBlobDigestsWrong).",
        PER_S,
        {
            "{{reason}}": rate("diten_blob_failures_total", 'job=~"diten-.*"', "reason"),
            "wrong digest": f'sum(rate(diten_blob_digests_wrong_total{{job=~"diten-.*"}}{RATE}))',
        },
    ),
)
