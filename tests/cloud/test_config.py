"""What a cloud and an edge are told about places, and that every mistake is named."""

from pathlib import Path

import pytest

from cloud.config import CloudConfig
from edge_node.config import EdgeConfig
from twin_runtime.adapters.config import load_config
from twin_runtime.core.errors import InvalidConfiguration


def told(tmp_path: Path, role: str, text: str) -> CloudConfig | EdgeConfig:
    path = tmp_path / "config.toml"
    path.write_text(text)
    if role == "cloud":
        return load_config(CloudConfig, role, path, {}, {})
    return load_config(EdgeConfig, role, path, {}, {})


def test_a_cloud_decides_only_where_it_is_told_to(tmp_path: Path) -> None:
    silent = told(tmp_path, "cloud", 'data_dir = "x"\n')
    deciding = told(tmp_path, "cloud", 'data_dir = "x"\n[association]\npolicy = "hold"\n')
    assert isinstance(silent, CloudConfig)
    assert isinstance(deciding, CloudConfig)
    assert silent.association is None
    assert deciding.association is not None
    assert (deciding.association.policy, deciding.association.period_s) == ("hold", 10.0)


@pytest.mark.parametrize(
    "role, section, wrong",
    [
        ("cloud", 'policy = "neares"', r"association\.policy = 'neares' is refused: .*nearest"),
        ("cloud", 'policy = "oracle"', r"association\.policy = 'oracle' is refused"),
        ("cloud", "period_s = 5.0", r"association\.policy is missing"),
        ("cloud", 'policy = "hold"\nperiod_s = 0.0', r"association\.period_s = 0\.0 is refused"),
        ("cloud", 'policy = "hold"\nperiod = 5', r"did you mean association\.period_s\?"),
        ("edge", "x_m = 5.0", r"position\.y_m is missing"),
        ("edge", 'x_m = "east"\ny_m = 1.0', r"position\.x_m = 'east' is refused"),
        ("edge", "x_m = nan\ny_m = 1.0", r"position\.x_m = nan is refused"),
    ],
)
def test_a_mistake_is_named_with_its_key(
    tmp_path: Path, role: str, section: str, wrong: str
) -> None:
    top = {
        "cloud": 'data_dir = "x"\n[association]\n',
        "edge": 'id = "e-1"\ndata_dir = "x"\n[position]\n',
    }
    with pytest.raises(InvalidConfiguration, match=wrong):
        told(tmp_path, role, top[role] + section)
