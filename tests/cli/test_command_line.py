"""The command line as a whole: its commands, their help, and what the documentation says of them."""

import argparse
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from cli_programs import PROGRAM, run, run_alone

from mindlytics_core import cli

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text()
COMMANDS = sorted(entry_points(group=cli.GROUP), key=lambda entry: entry.name)


def section(name: str) -> str:
    found = re.search(rf"^## `mindlytics {name}\b.*?(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return found[0] if found else ""


def actions(entry: EntryPoint) -> list[argparse.Action]:
    """What a command takes, also within commands of its own."""
    parser = argparse.ArgumentParser(add_help=False)
    entry.load().add_arguments(parser)
    parsers, found = [parser], list[argparse.Action]()
    while parsers:
        for action in parsers.pop()._actions:
            found.append(action)
            if isinstance(action, argparse._SubParsersAction):
                parsers.extend(action.choices.values())
    return found


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_and_every_option_is_documented(entry: EntryPoint):
    said = section(entry.name)

    assert said, f"docs/cli.md has no section '## `mindlytics {entry.name}'"
    options = {each for action in actions(entry) for each in action.option_strings if each not in {"-h", "--help"}}
    assert [option for option in sorted(options) if not re.search(rf"`{option}\b", said)] == []


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_documented_option_is_there(entry: EntryPoint):
    options = {each for action in actions(entry) for each in action.option_strings}

    rows = re.findall(r"^\| (`--.*?) \|", section(entry.name), re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"--[\w-]+", row) if name not in options] == []


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_and_every_option_explains_itself(entry: EntryPoint):
    assert entry.load().HELP
    assert [action.dest for action in actions(entry) if not action.help and action.option_strings] == []


@pytest.mark.parametrize("name", ["doctor", "tail", "import"])
def test_no_command_takes_a_key_on_its_command_line(name: str):
    entry = next(entry for entry in COMMANDS if entry.name == name)

    assert [each for action in actions(entry) for each in action.option_strings if "key" in each] == []


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), ([], 2)])
def test_the_list_of_commands_is_the_help(arguments: list[str], code: int):
    done = run(*arguments, environment=dict(os.environ))

    assert done.returncode == code
    shown = done.stderr if code else done.stdout
    assert {"demo", "doctor", "import", "local", "tail"} <= set(re.findall(r"^    (\w+) ", shown, re.MULTILINE))


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["--wrong"]])
def test_a_wrong_command_line_is_2_with_the_usage(arguments: list[str]):
    done = run(*arguments, environment=dict(os.environ))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: mindlytics")


def test_a_reader_that_goes_is_no_error(tmp_path: Path):
    past = tmp_path / "past.jsonl"
    past.write_text('{"turns": [{"user": "a"}]}\n')
    with subprocess.Popen(
        [*PROGRAM, "import", "--dry-run", str(past)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()

    assert (process.wait(20), err) == (141, b"")


def test_without_rich_an_import_names_the_extra_and_the_others_work(tmp_path: Path):
    # An empty stand-in that cannot be imported, as if the package were not there.
    (tmp_path / "rich.py").write_text("raise ImportError('No module named rich', name='rich')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    missing = run_alone("import", "x", environment=environment)
    others = run_alone("doctor", "--help", environment=environment)

    assert missing.returncode == 1
    assert missing.stderr == (
        "mindlytics import: this command needs the package 'rich': pip install 'mindlytics[cli]'\n"
    )
    assert others.returncode == 0


def test_the_script_and_the_module_are_one_program():
    script = Path(sys.executable).with_name("mindlytics")

    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout == run_alone("--version", environment=dict(os.environ)).stdout
