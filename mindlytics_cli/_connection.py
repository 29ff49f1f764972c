"""Which service a command speaks to: the arguments that all commands share, and the client made from them."""

import argparse
import logging
import os
from typing import Any

from mindlytics_core import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the arguments.

    There is none for the key: what stands on a command line is seen by everybody on the machine (`ps`), and stays
    in the shell's history.
    """
    parser.add_argument("--server", metavar="URL", help="the service's address (default: MLSDK_SERVER_BASE)")
    parser.add_argument("--project", metavar="ID", help="the project (default: MLSDK_PROJECT_ID)")


def client(args: argparse.Namespace, **options: Any) -> Client:
    """
    The client that the arguments and the environment describe.

    Args:
        args: The command's arguments.

        options: More of the client's own.

    Raises:
        ConfigurationError: A key, a project or a usable address is missing.
    """
    # A command says itself what happened; the library's log lines would say it a second time.
    logging.getLogger("mindlytics").addHandler(logging.NullHandler())
    # A command tells what did not arrive, and may be run again; a queue on disk would send it behind its back.
    os.environ.pop("MLSDK_SPOOL_DIR", None)
    return Client(None, args.project, args.server, **options)


def seconds(text: str) -> float:
    """
    A number of seconds above 0, for argparse.

    Args:
        text: The argument.
    """
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return number
