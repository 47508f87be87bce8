#!/usr/bin/env python3
"""Print the Grafana dashboards into `deploy/grafana/dashboards/`, or into the folder given.

What they show is in `deploy/grafana/panels.py`; how it looks is decided once, here.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana import broker, edge, fleet, moves, twin
from deploy.grafana.panels import (
    COUNT,
    GREEN,
    Curve,
    Lines,
    Number,
    Panel,
    Rows,
    Steps,
    Words,
)

FOLDER = Path(__file__).parents[1] / "deploy/grafana/dashboards"
PROMETHEUS, API = "diten-prometheus", "diten-api"  # uids of the provisioned data sources
INFINITY = "yesoreyeram-infinity-datasource"
TAG = "diten"
HEIGHT, STAT_HEIGHT = 8, 4
CURVE_COLUMNS = (("time", "timestamp_epoch"), ("value", "number"))


class Infinity(Builder[Dataquery], Dataquery):
    """A query of Grafana's Infinity data source, of which the SDK has no type."""

    def __init__(
        self, url: str, selector: str, columns: Sequence[tuple[str, str]], shape: str
    ) -> None:
        self._url = url
        self._selector = selector
        self._columns = columns
        self._shape = shape  # table or timeseries

    def to_json(self) -> dict[str, Any]:
        columns = [{"selector": name, "text": name, "type": kind} for name, kind in self._columns]
        source = {"type": INFINITY, "uid": API}
        told = {"type": "json", "source": "url", "parser": "jq-backend", "format": self._shape}
        return {
            **told,
            "refId": "A",
            "datasource": source,
            "url": self._url,
            "url_options": {"method": "GET", "data": ""},
            "root_selector": self._selector,
            "columns": columns,
        }

    def build(self) -> "Infinity":
        return self


def thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    colours = [model.Threshold(value=None, color=GREEN)]
    colours += [model.Threshold(value=value, color=colour) for value, colour in steps]
    config = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    return config.steps(colours)


def source(kind: str, uid: str) -> model.DataSourceRef:
    return model.DataSourceRef(type_val=kind, uid=uid)


def query(name: str, expr: str, index: int = 0) -> prometheus.Dataquery:
    one = prometheus.Dataquery().expr(expr).legend_format(name).ref_id(chr(ord("A") + index))
    return one.datasource(source("prometheus", PROMETHEUS))


def drawn(panel: Panel) -> Builder[model.Panel]:
    match panel:
        case Lines():
            return drawn_lines(panel).min(0)
        case Number(title, why, unit, expr, steps, width):
            shown = stat.Panel().title(title).description(why).unit(unit).height(STAT_HEIGHT)
            shown = shown.span(width).thresholds(thresholds(steps)).no_value("–")
            shown = shown.graph_mode(looks.BigValueGraphMode.NONE)
            return shown.with_target(query(title, expr).instant())
        case Words(title, markdown, width):
            return text.Panel().title(title).content(markdown).span(width).height(STAT_HEIGHT - 1)
        case Rows(title, why, url, selector, columns, width):
            rows = table.Panel().title(title).description(why).span(width).height(HEIGHT)
            asked = Infinity(url, selector, columns, "table")
            return rows.datasource(source(INFINITY, API)).with_target(asked)
        case Curve(title, why, url, selector):
            curve = drawn_lines(Lines(title, why, COUNT, {}, width=24))
            asked = Infinity(url, selector, CURVE_COLUMNS, "timeseries")
            return curve.datasource(source(INFINITY, API)).with_target(asked)


def drawn_lines(panel: Lines) -> timeseries.Panel:
    shown = timeseries.Panel().title(panel.title).description(panel.why).unit(panel.unit)
    shown = shown.span(panel.width).height(HEIGHT).thresholds(thresholds(panel.steps)).min(0)
    if panel.steps:
        style = looks.GraphThresholdsStyleMode.DASHED
        shown = shown.thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
    legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST)
    shown = shown.legend(legend.placement(looks.LegendPlacement.BOTTOM).show_legend(True))  # noqa: FBT003
    shown = shown.tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI))
    shown = shown.datasource(source("prometheus", PROMETHEUS)).fill_opacity(0).line_width(1)
    for index, (name, expr) in enumerate(panel.queries.items()):
        shown = shown.with_target(query(name, expr, index))
    return shown


def a_dashboard(
    name: str, about: str, panels: Sequence[Panel], variables: Sequence[Builder[Any]] = ()
) -> dashboard.Dashboard:
    made = dashboard.Dashboard(f"diten: {name}").uid(f"diten-{name}").description(about)
    made = made.tags([TAG]).refresh("10s").time("now-1h", "now").timezone("browser").editable()
    links = dashboard.DashboardLink("diten").type(model.DashboardLinkType.DASHBOARDS)
    made = made.link(links.tags([TAG]).keep_time(True))  # noqa: FBT003
    for variable in variables:
        made = made.with_variable(variable)
    for panel in panels:
        made = made.with_panel(drawn(panel))
    return made


def edges() -> dashboard.QueryVariable:
    chosen = (
        dashboard.QueryVariable("edge")
        .label("Edge")
        .query('label_values(up{job="diten-edge"}, instance)')
    )
    chosen = chosen.datasource(source("prometheus", PROMETHEUS)).multi(True)  # noqa: FBT003
    return chosen.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)


def typed(name: str, label: str, example: str) -> dashboard.TextBoxVariable:
    return dashboard.TextBoxVariable(name).label(label).default_value(example)


DASHBOARDS = (
    a_dashboard("fleet", "All edges and the cloud: is every twin true, and safe?", fleet.FLEET),
    a_dashboard("edge", "One edge, or several.", edge.ONE_EDGE, [edges()]),
    a_dashboard("broker", "The wire between devices, edges and the cloud.", broker.BROKER),
    a_dashboard(
        "moves", "Twins that change their edge, and the files that go with them.", moves.MOVES
    ),
    a_dashboard(
        "twin",
        "One twin, asked for at the API: metrics are never per twin.",
        twin.TWIN,
        [typed("twin", "Twin", "d-core-0"), typed("feature", "Feature", "cpu_load_ratio")],
    ),
)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for made in DASHBOARDS:
        built = made.build()
        printed = json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / f"{built.uid}.json").write_text(f"{printed}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
