"""Thing Descriptions: valid to W3C's own schema, and true."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from twin_runtime.core.thing_description import WHOLE_TWIN, Access, thing_description

SCHEMA = Path(__file__).parents[1] / "vendor/wot/td-json-schema-validation.json"
OPEN = Access("http://127.0.0.1:8420", "mqtt://127.0.0.1:1883")
GUARDED = OPEN._replace(has_token=True)
SPECS = {
    "temperature_c": {"type": "number", "unit": "Cel", "title": "Temperature"},
    "target_c": {"type": "number", "unit": "Cel", "writable": True},
    "doors": {"type": "integer", "writable": True},
    "is_open": {"type": "boolean", "live": True},
    "mode": {"type": "string"},
}
DOCUMENT = {"twin": "d-1", "description": {"title": "Greenhouse", "features": SPECS}}


def described(access: Access = OPEN, document: dict[str, Any] = DOCUMENT) -> dict[str, Any]:
    return thing_description(document, "home", access)


def invalid(descriptions: list[dict[str, Any]], folder: Path) -> str:
    """What the schema's own words say is wrong with them."""
    files = [folder / f"{number}.json" for number in range(len(descriptions))]
    for file, description in zip(files, descriptions, strict=True):
        file.write_text(json.dumps(description))
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA)]
    checked = subprocess.run(
        [*command, *map(str, files)], capture_output=True, text=True, check=False
    )
    return "" if checked.returncode == 0 else checked.stdout + checked.stderr


def test_descriptions_are_valid(tmp_path: Path) -> None:
    silent = {"twin": "d-2", "features": {}}
    all_kinds = [described(), described(GUARDED), described(OPEN, silent)]
    assert invalid(all_kinds, tmp_path) == ""


def test_what_is_no_description_is_not_valid(tmp_path: Path) -> None:
    broken = described()
    broken["properties"]["mode"]["forms"][0].pop("href")
    assert "mode" in invalid([broken], tmp_path)


def test_a_feature_is_read_where_it_is_reported_and_written_where_it_is_wanted() -> None:
    feature = described()["properties"]["target_c"]
    assert (feature["type"], feature["unit"], feature["readOnly"]) == ("number", "Cel", False)
    read, write = feature["forms"]
    path = "api/2/things/home:d-1/features/target_c"
    assert (read["op"], read["href"]) == ("readproperty", f"{path}/properties/value")
    assert (write["op"], write["href"]) == ("writeproperty", f"{path}/desiredProperties/value")
    assert write["htv:methodName"] == "PUT"


def test_what_only_the_device_writes_is_read_only() -> None:
    properties = described()["properties"]
    read_only = {name for name, each in properties.items() if each["readOnly"]}
    assert read_only == {"temperature_c", "is_open", "mode", WHOLE_TWIN}
    for name in read_only:
        assert not [form for form in properties[name]["forms"] if "writeproperty" in form["op"]]


def test_the_whole_twin_is_observed_on_its_public_topic() -> None:
    whole = described()["properties"][WHOLE_TWIN]
    (form,) = whole["forms"]
    assert form["href"] == "mqtt://127.0.0.1:1883/dt/v1/twin/d-1"
    assert form["mqv:filter"] == "dt/v1/twin/d-1"
    assert "observeproperty" in form["op"]
    value = whole["properties"]["features"]["properties"]["temperature_c"]["properties"]["value"]
    assert value == {"type": "number", "title": "Temperature", "unit": "Cel"}


@pytest.mark.parametrize("access, security", [(OPEN, None), (GUARDED, ["token"])])
def test_only_writes_need_a_token_and_only_once_there_is_one(
    access: Access, security: list[str] | None
) -> None:
    description = described(access)
    assert description["security"] == ["open"]
    assert ("token" in description["securityDefinitions"]) is (security is not None)
    read, write = description["properties"]["doors"]["forms"]
    assert "security" not in read
    assert write.get("security") == security
    assert description["actions"]["command"]["forms"][0].get("security") == security
