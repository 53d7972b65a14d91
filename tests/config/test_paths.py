"""Where files live."""

from pathlib import Path

import pytest

from orchestrator_nb.config.paths import Paths
from orchestrator_nb.errors import ConfigError


def test_one_variable_moves_everything(tmp_path):
    root = tmp_path / "onb"

    paths = Paths.find({"ORCHESTRATOR_NB_HOME": str(root)}, tmp_path)

    assert (paths.config, paths.data, paths.state, paths.cache) == tuple(
        root / n for n in ("config", "data", "state", "cache")
    )
    assert paths.system is None
    assert paths.settings == root / "config/config.yaml"
    assert paths.models == root / "config/models.yaml"
    assert paths.vault() == root / "data/vaults/default.onbv"
    assert paths.store == root / "data/store.db"


def test_without_it_the_platform_decides(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "cfg"))

    paths = Paths.find({}, tmp_path)

    assert paths.config == tmp_path / "cfg/orchestrator-nb"
    assert paths.system is not None


def test_looking_creates_nothing(tmp_path):
    Paths.find({"ORCHESTRATOR_NB_HOME": str(tmp_path / "onb")}, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_tilde_means_home_and_a_relative_path_is_refused(tmp_path):
    assert Paths.find({"ORCHESTRATOR_NB_HOME": "~/x"}, tmp_path).config == tmp_path / "x/config"
    with pytest.raises(ConfigError, match=r"ORCHESTRATOR_NB_HOME: 'x/y' is a relative path"):
        Paths.find({"ORCHESTRATOR_NB_HOME": "x/y"}, Path("/h"))
