"""The command `mindlytics local`: the service on this machine, until Ctrl-C."""

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from mindlytics_local._service import LocalService, is_loopback, serve, start

HELP = "run the Mindlytics service on this machine: a receiver, a SQLite file and a web page"

_PORT = 3000
_MAX_PORT = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="interface to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=_PORT, help="port; 0 takes any free one (default: %(default)s)")
    parser.add_argument(
        "--db",
        type=Path,
        metavar="FILE",
        help=f"SQLite file; it is made if it does not exist (default: {_shown(_default_db())})",
    )
    parser.add_argument(
        "--api-key",
        action="append",
        default=[],
        metavar="KEY",
        help="take only this key; may be given several times (default: any key)",
    )
    parser.add_argument("--admin-key", metavar="KEY", help="key for wiping everything and for making API keys")
    parser.add_argument(
        "--prices",
        type=Path,
        metavar="FILE",
        help='JSON with what models cost for a million tokens: {"gpt-4o": {"prompt": 2.5, "completion": 10}}',
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; give 0 then, and 1 if the port or the file cannot be used."""
    if not is_loopback(args.host) and not args.api_key:
        sys.stderr.write(f"mindlytics local: {args.host} can be reached by others, and no --api-key protects it\n")
    try:
        service = start(
            host=args.host,
            port=args.port,
            db=_file(args.db),
            api_keys=args.api_key,
            admin_key=args.admin_key,
            prices=args.prices,
        )
    except (OSError, ValueError) as error:
        about = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        sys.stderr.write(f"mindlytics local: {about}{getattr(error, 'strerror', None) or error}\n")
        return 1
    serve(service, ready=lambda running: _announce(running, args))
    sys.stdout.write("\nstopped\n")
    return 0


def _announce(service: LocalService, args: argparse.Namespace) -> None:
    key = "<one of your keys>" if args.api_key else "anything"
    sys.stdout.write(
        f"The page: {service.url}\n"
        f"Stored in {_shown(service.db)}\n\n"
        "Point an app here by setting\n"
        f"  MLSDK_SERVER_BASE={service.url}\n"
        f"  MLSDK_API_KEY={key}\n"
        "  MLSDK_PROJECT_ID=anything\n\n"
        "Ctrl-C stops.\n"
    )
    sys.stdout.flush()
    if service.taken_port is not None:
        sys.stderr.write(
            f"mindlytics local: port {service.taken_port}, where clients look for live events, is in use;"
            f" they are at {service.live_url}, to be set as wss_endpoint\n"
        )
    if args.open:
        webbrowser.open(service.url)


def _file(given: Path | None) -> Path:
    if given is not None:
        return given
    default = _default_db()
    default.parent.mkdir(parents=True, exist_ok=True)
    return default


def _default_db() -> Path:
    """Where the user's applications keep their data on this system."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "mindlytics" / "mindlytics.db"


def _shown(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _MAX_PORT):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {_MAX_PORT}")
    return int(text)
