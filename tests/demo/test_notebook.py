"""What a notebook stands on: its service, its model, its keys."""

from pathlib import Path

import nbformat
import pytest
from helpers import Service

from mindlytics_core import Client
from mindlytics_local.demo.notebook import ENV_FILE, set_up

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))


def test_keys_of_the_user_s_own_are_taken_from_the_file_and_nothing_is_started(service: Service, tmp_path: Path):
    own = {**service.environment(), "OPENAI_API_KEY": "own-key", "OPENAI_MODEL": "own-model"}
    (tmp_path / ENV_FILE).write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    environment: dict[str, str] = {}
    said: list[str] = []

    here = set_up(say=said.append, environment=environment, folder=tmp_path)

    assert environment == own
    assert said == [f"conversations go to {service.url}; the model is own-model"]
    assert "own-key" not in repr(vars(here))


def test_the_events_are_those_since_the_set_up_once_enough_turns_are_there(
    service: Service, client: Client, tmp_path: Path
):
    client.create_session().track_conversation_turn(user="Before", assistant="-", timestamp="2026-01-01T00:00:00Z")
    assert client.flush_sync()
    environment = {**service.environment(), "OPENAI_API_KEY": "own-key"}
    here = set_up(say=str, environment=environment, folder=tmp_path)

    client.create_session().track_conversation_turn(user="Since", assistant="-")
    assert client.flush_sync()

    turns = [event for event in here.events(turns=1) if event.get("event") == "Conversation Turn"]
    assert [turn["properties"]["user"] for turn in turns] == ["Since"]
    assert len(here.find("events")) == 6


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_names_the_kernel(notebook: Path):
    read = nbformat.read(notebook, as_version=4)

    assert read.metadata.kernelspec.name == "mindlytics"
    assert read.metadata.kernelspec.display_name == "Mindlytics Python SDK"
    for cell in read.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_notebooks_are_the_four_that_the_documentation_lists():
    page = (ROOT / "docs/examples.md").read_text()

    assert len(NOTEBOOKS) == 4
    assert all(f"`{notebook.name}`" in page for notebook in NOTEBOOKS)
