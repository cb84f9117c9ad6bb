"""The dashboards that are committed are those that are generated, and ask the data sources that are provisioned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from grafana.generate import DASHBOARDS, FOLDER, text_of

PROVISIONING = Path(FOLDER).parent / "provisioning"


def test_committed_dashboards_are_the_generated_ones() -> None:
    committed = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert committed == {name: text_of(name) for name in DASHBOARDS}, "run `make dashboards`"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_a_title_a_place_and_a_provisioned_source(name: str) -> None:
    provisioned = yaml.safe_load((PROVISIONING / "datasources" / "tapeline.yaml").read_text(encoding="utf-8"))
    sources = {(source["type"], source["uid"]) for source in provisioned["datasources"]}
    dashboard = json.loads(text_of(name))
    assert dashboard["uid"].startswith("tapeline-")
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(places) == len(set(places)) > 2
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert (panel["datasource"]["type"], panel["datasource"]["uid"]) in sources
        assert [target["datasource"] for target in panel["targets"]] == [panel["datasource"]]
