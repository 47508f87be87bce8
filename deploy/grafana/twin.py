"""One twin, asked for at the API: metrics are never per twin."""

from deploy.grafana.panels import (
    Curve,
    Panel,
    Rows,
)

THING = "/api/2/things/${twin}"
TWIN: tuple[Panel, ...] = (
    Rows(
        "Owner",
        "Which edge owns the twin, at which epoch.",
        "/api/v1/twins/${twin}",
        ".",
        (("twin", "string"), ("owner", "string"), ("epoch", "number"), ("phase", "string")),
    ),
    Rows(
        "Values",
        "What the twin reports now, and what is wanted of it.",
        f"{THING}/features",
        "to_entries | map({feature: .key, value: .value.properties.value,"
        " observed: .value.properties.observed_ms, quality: .value.properties.quality,"
        " desired: .value.desiredProperties.value})",
        (
            ("feature", "string"),
            ("value", "string"),
            ("observed", "timestamp_epoch"),
            ("quality", "string"),
            ("desired", "string"),
        ),
    ),
    Curve(
        "One feature over time",
        "As its device reported it, thinned to what a chart can show; kept at the edge.",
        "/api/v1/twins/${twin}/history?feature=${feature}&from=${__from}&to=${__to}&points=500",
        ".rows | map({time: .[0], value: .[1]})",
    ),
)
