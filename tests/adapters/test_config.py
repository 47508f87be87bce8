"""Configuration: which layer wins, and that every mistake is one sentence that helps."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from twin_runtime.adapters.config import BusConfig, Configuration, HttpConfig, load_config
from twin_runtime.core.errors import InvalidConfiguration


class Peer(Configuration):
    url: str


class EdgeLike(Configuration):
    id: str
    period_s: Annotated[float, Field(gt=0)] = 1.0
    bus: BusConfig = BusConfig()
    http: HttpConfig = HttpConfig(port=8420)
    peers: tuple[Peer, ...] = ()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text('id = "e-file"\n[bus]\nhost = "file"\nport = 1001\n')
    return path


def refusal(text: str, path: Path, **environ: str) -> str:
    path.write_text(text)
    with pytest.raises(InvalidConfiguration) as caught:
        load_config(EdgeLike, "edge", path, {}, environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_flags_win_over_environment_over_file_over_defaults(path: Path) -> None:
    environ = {"DITEN_EDGE__BUS__PORT": "1002", "DITEN_EDGE__BUS__HOST": "environment"}
    config = load_config(EdgeLike, "edge", path, {"bus.host": "flag", "id": None}, environ)
    assert config == EdgeLike(id="e-file", bus=BusConfig(host="flag", port=1002))


def test_a_file_is_not_needed() -> None:
    config = load_config(EdgeLike, "edge", None, {"id": "e-1"}, {})
    assert config == EdgeLike(id="e-1")


def test_a_section_keeps_the_roles_defaults_for_keys_it_does_not_set(path: Path) -> None:
    path.write_text('id = "e-1"\n[http]\nhost = "::1"\n')
    config = load_config(EdgeLike, "edge", path, {}, {})
    assert config.http == HttpConfig(host="::1", port=8420)


def test_another_roles_environment_is_not_read(path: Path) -> None:
    environ = {"DITEN_CLOUD__BUS__HOST": "cloud", "DITEN_API": "http://elsewhere", "BUS": "x"}
    assert load_config(EdgeLike, "edge", path, {}, environ).bus.host == "file"


def test_a_configuration_is_immutable(path: Path) -> None:
    config = load_config(EdgeLike, "edge", path, {}, {})
    with pytest.raises(ValidationError, match="frozen"):
        config.id = "e-2"  # type: ignore[misc]


def test_an_unknown_key_is_refused_with_the_nearest_known_one(path: Path) -> None:
    message = refusal('id = "e-1"\n[bus]\nprot = 1\n', path)
    assert message == f"{path}: bus.prot is not a known key; did you mean bus.port?"


def test_an_unknown_key_like_no_other_is_refused_with_the_known_ones(path: Path) -> None:
    message = refusal('id = "e-1"\n[bus]\nqqqqqqqqqqq = 1\n', path)
    assert "is not a known key; known keys are bus.ca_file, bus.certificate_file" in message


def test_a_key_missing_in_an_array_is_not_offered_a_variable(path: Path) -> None:
    message = refusal('id = "e-1"\npeers = [{}]\n', path)
    assert message == f"{path}: peers.0.url is missing; set it there"


def test_an_empty_unknown_section_is_refused_too(path: Path) -> None:
    assert "buss is not a known key; did you mean bus?" in refusal('id = "e"\n[buss]\n', path)


def test_an_empty_section_changes_nothing(path: Path) -> None:
    path.write_text('id = "e-1"\n[http]\n')
    assert load_config(EdgeLike, "edge", path, {}, {}) == EdgeLike(id="e-1")


def test_a_value_out_of_range_names_file_key_value_and_what_is_allowed(path: Path) -> None:
    message = refusal('id = "e-1"\n[bus]\nport = 70000\n', path)
    assert message == (
        f"{path}: bus.port = 70000 is refused: input should be less than or equal to 65535"
    )


def test_a_value_from_the_environment_is_blamed_on_its_variable(path: Path) -> None:
    message = refusal('id = "e-1"\n', path, DITEN_EDGE__BUS__PORT="many")
    assert message.startswith("DITEN_EDGE__BUS__PORT: bus.port = 'many' is refused: ")


def test_a_value_from_a_flag_is_blamed_on_the_command_line(path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"^the command line: period_s = -1\.0 is ref"):
        load_config(EdgeLike, "edge", path, {"period_s": -1.0}, {})


def test_a_missing_key_says_where_to_set_it(path: Path) -> None:
    message = refusal("period_s = 2.0\n", path)
    assert message == f"{path}: id is missing; set it there or as DITEN_EDGE__ID"


def test_a_section_that_is_a_value_cannot_be_refined(path: Path) -> None:
    message = refusal('id = "e-1"\nbus = 3\n', path, DITEN_EDGE__BUS__HOST="x")
    assert "bus.host cannot be set, since bus is set to 3" in message


def test_a_section_that_is_a_value_is_refused(path: Path) -> None:
    assert f"{path}: bus = 3 is refused" in refusal('id = "e-1"\nbus = 3\n', path)


def test_a_file_that_is_not_toml_is_refused_with_its_line(path: Path) -> None:
    assert f"{path} is not TOML" in refusal("id = \n", path)
    assert "line 1" in refusal("id = \n", path)


def test_a_file_that_is_not_text_is_refused(path: Path) -> None:
    path.write_bytes(b'id = "\xff"')
    with pytest.raises(InvalidConfiguration, match="not UTF-8 text"):
        load_config(EdgeLike, "edge", path, {}, {})


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"no\.toml cannot be read \(No such file"):
        load_config(EdgeLike, "edge", tmp_path / "no.toml", {}, {})


def test_a_long_value_is_cut_in_the_message(path: Path) -> None:
    assert len(refusal(f'id = "e-1"\nperiod_s = "{"9" * 5000}x"\n', path)) < 400
