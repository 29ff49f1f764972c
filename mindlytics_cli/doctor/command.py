"""The command `mindlytics doctor`: every step from the installation to a conversation that arrives."""

import argparse
import functools
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict

from mindlytics_cli import _connection
from mindlytics_cli._plain import plain
from mindlytics_cli.doctor._examination import examine
from mindlytics_cli.doctor._findings import Finding, has_fault

HELP = "check installation, configuration, network, key and delivery, and say what to do"

_TIMEOUT = 10.0
_COLOURS = {"ok": "32", "note": "36", "warning": "33", "fault": "31"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    _connection.add_arguments(parser)
    parser.add_argument("--no-send", action="store_true", help="send no test conversation")
    parser.add_argument("--json", action="store_true", help="write the findings as JSON")
    parser.add_argument(
        "--timeout",
        type=_connection.seconds,
        default=_TIMEOUT,
        metavar="SECONDS",
        help="most seconds for each check (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Examine; give 0 when nothing is wrong, and 1 when something is."""
    new_client = functools.partial(_connection.client, args)
    findings = examine(
        new_client, project=args.project, server=args.server, send=not args.no_send, timeout=args.timeout
    )
    return 1 if has_fault(_as_json(findings) if args.json else _as_lines(findings)) else 0


def _as_json(findings: Iterable[Finding]) -> list[Finding]:
    found = list(findings)
    json.dump({"ok": not has_fault(found), "findings": [asdict(each) for each in found]}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return found


def _as_lines(findings: Iterable[Finding]) -> list[Finding]:
    colourful = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    found: list[Finding] = []
    for finding in findings:
        found.append(finding)
        sys.stdout.write(_line(finding, colourful=colourful))
        # A check may take a while: what is known is shown meanwhile.
        sys.stdout.flush()
    faults = sum(each.level == "fault" for each in found)
    sys.stdout.write(f"\n{faults} to mend.\n" if faults else "\nAll is well.\n")
    return found


def _line(finding: Finding, *, colourful: bool) -> str:
    level = f"{finding.level:8}"
    if colourful:
        level = f"\033[{_COLOURS[finding.level]}m{level}\033[0m"
    # A service's own words may be among them.
    advice = f"{'':8}→ {plain(finding.advice)}\n" if finding.advice else ""
    return f"{level}{finding.check}: {plain(finding.text)}\n{advice}"
