"""The command, one function for each of its parts.

Exit codes: 0 done, 1 failed or found wrong, 2 wrong arguments or settings, with every fault named, 3 the port cannot be listened on.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from msgspec.structs import replace

from identity_service.app import create
from identity_service.errors import SettingsError, StoreUnavailable
from identity_service.model.shop import ShopId
from identity_service.ops.backup import back_up
from identity_service.ops.check import sound_settings
from identity_service.ops.doctor import diagnose, placement, summary
from identity_service.ops.forget import forget_gone
from identity_service.ops.init import CannotWrite, Choices, NewKeys, init, keys_text
from identity_service.ops.inspect import inspect
from identity_service.ops.move import move, undo_move
from identity_service.server.logs import configure, log, open_standard_files
from identity_service.server.supervisor import CannotListen, bind, run_workers
from identity_service.settings.load import CONFIG_VARIABLE
from identity_service.settings.schema import ServerSettings, Settings
from identity_service.settings.store_url import EMBEDDED, store_name
from identity_service.store.embedded import EmbeddedError, EmbeddedStore
from identity_service.store.examine import examine
from identity_service.store.redis.client import Client
from identity_service.store.schema import MARK_VARIABLE, SeenMark, examine_marks, schema_of
from identity_service.version import VERSION

DEVELOPMENT = "development"
PROGRAM = "identity-service"
BOUND = ("host", "port", "internal_port", "workers", "drain_seconds")
"""Settings of the server that a running one keeps."""
CONFIG_HELP = "a shipped file (development, production), a path, or the folder of a settings.toml"
FLAGS = {"SERVER__HOST": "--host", "SERVER__PORT": "--port", "SERVER__WORKERS": "--workers", "STORE__URL": "--data"}
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> int:
    open_standard_files()
    asked = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = asked.run
    try:
        return run(asked)
    except SettingsError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return 2
    except CannotListen as error:
        print(error, file=sys.stderr)
        return 3


def serve(asked: argparse.Namespace) -> int:
    """Blocks until it is told to stop. The store is started once, here, before the workers, and ends after them."""
    settings = _settings(asked)
    configure(settings.server.log_level)
    metrics = tempfile.mkdtemp(prefix="identity-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
    os.environ[MARK_VARIABLE] = f"{metrics}/mark"
    store = None
    try:
        with ExitStack() as stack:
            bound = [stack.enter_context(bind(settings.server.host, port, chosen)) for chosen, port in settings.server.ports.items()]
            if settings.store.url.startswith(EMBEDDED):
                store = _started(Path(settings.store.url.removeprefix(EMBEDDED)))
            settings, mark = _with_running(store, settings), SeenMark(Path(metrics, "mark"))
            _examine(settings.store.url, settings, mark, may_come=True)

            def read_again() -> Settings:
                nonlocal settings
                found = _as_bound(settings.server, _with_running(store, _settings(asked)))
                _examine(found.store.url, found, mark, may_come=found.store.url == settings.store.url)
                settings = found
                return found

            run_workers(settings, bound, read_again, create)
    finally:
        if store:
            store.stop()
        shutil.rmtree(metrics, ignore_errors=True)
    return 0


def demo(asked: argparse.Namespace) -> int:
    """`serve` with the demo shop. Only warnings are logged unless asked otherwise: the shop's live panel asks often."""
    if (asked.config or os.environ.get(CONFIG_VARIABLE, DEVELOPMENT)) != DEVELOPMENT:
        raise SettingsError(["server.demo: the demo shop needs the keys of the development configuration; leave out --config"])
    os.environ["IDENTITY_SERVER__DEMO"] = "true"
    os.environ.setdefault("IDENTITY_SERVER__LOG_LEVEL", "warning")
    return serve(asked)


def initialise(asked: argparse.Namespace) -> int:
    choices = Choices(asked.shop, asked.origin, asked.policy, asked.store, asked.port)
    try:
        print(init(asked.folder, choices, sys.argv[0] if Path(sys.argv[0]).name == PROGRAM else PROGRAM))
    except CannotWrite as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def check(asked: argparse.Namespace) -> int:
    settings = _settings(asked)
    shops = ", ".join(f"{name} ({shop.policy})" for name, shop in settings.shops.items())
    print(f"the settings are valid; shops: {shops}")
    for name in (name for name, shop in settings.shops.items() if not shop.origins):
        print(f"shops.{name}.origins is empty, so only servers can call; add the origins of the shop's pages")
    if asked.store:
        _examine(_running_url(settings.store.url), settings)
        print("the store is ready")
    return 0


def doctor(asked: argparse.Namespace) -> int:
    """Prints a line for each finding; exit code 1 when something is wrong."""
    settings = _settings(asked)
    url = _running_url(asked.url or settings.store.url)
    timeout, replicas = settings.store.timeout_seconds, settings.store.replicas
    try:
        found = inspect(url, timeout, replicas)
    except ValueError as error:
        raise SettingsError([f"store.url: {error}"]) from None
    except StoreUnavailable as error:
        raise SettingsError(
            [f"store.url: the store does not answer at {store_name(url)} ({error}); start it, or correct the address"]
        ) from None
    findings = diagnose(found, url, replicas, timeout)
    for finding in findings:
        print(f"{'wrong  ' if finding.wrong else 'warning'} {' '.join(filter(None, (finding.place, finding.text)))}")
    for line in placement(found, [ShopId(shop) for shop in settings.shops]):
        print(line)
    print(summary(found))
    return int(any(finding.wrong for finding in findings))


def keys_new(asked: argparse.Namespace) -> int:  # noqa: ARG001 every command takes the same
    """Prints new keys; nothing is written anywhere."""
    print(keys_text(NewKeys()))
    return 0


def run_move(asked: argparse.Namespace) -> int:
    if asked.undo:
        return undo_move(asked.source)
    return move(asked.source, asked.target, _settings(asked).secrets.peppers)


def run_forget(asked: argparse.Namespace) -> int:
    return forget_gone(asked.current, asked.restored, _settings(asked))


def run_backup(asked: argparse.Namespace) -> int:
    try:
        print(f"{back_up(asked.source, asked.target):,} bytes in {asked.target}; start on it with `--data`")
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Consent-aware visitor IDs for webshops.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("init", help="write settings, secrets and an edge's environment for a shop of your own")
    making.set_defaults(run=initialise)
    making.add_argument("folder", metavar="DIR", type=Path, help="made where it is absent; nothing in it is overwritten")
    making.add_argument("--shop", metavar="NAME", default="shop", help="the shop's name in settings and keys (%(default)s)")
    making.add_argument(
        "--origin", metavar="URL", action="append", default=[], help="of the shop's pages, as https://shop.example; repeatable"
    )
    making.add_argument("--policy", choices=("standard", "strict"), default="standard", help="%(default)s, or strict: by region")
    making.add_argument("--store", metavar="URL", default="", help="a form of store.url (embedded, in DIR/data)")
    making.add_argument("--port", type=int, default=8080, help="of the service (%(default)s)")
    _add_running(commands)
    _add_moving(commands)
    keys = commands.add_parser("keys", help="keys of shops and of the service").add_subparsers(required=True)
    keys.add_parser("new", help="print new keys").set_defaults(run=keys_new)
    return parser


def _add_running(commands: Commands) -> None:
    serving = commands.add_parser("serve", help="run the service")
    serving.set_defaults(run=serve)
    showing = commands.add_parser("demo", help="run the service with a small shop to try it in")
    showing.set_defaults(run=demo)
    checking = commands.add_parser("check", help="check settings and shops without starting")
    checking.set_defaults(run=check)
    checking.add_argument("--store", action="store_true", help="also examine the server of store.url")
    examining = commands.add_parser("doctor", help="say what is wrong with a live store and what to set instead")
    examining.set_defaults(run=doctor)
    examining.add_argument("url", nargs="?", help="the store's; else that of store.url")
    for command in (serving, showing, checking, examining):
        command.add_argument("--config", help=CONFIG_HELP)
        command.add_argument("--host")
        command.add_argument("--port", type=int)
        command.add_argument("--workers", type=int)
        command.add_argument("--data", help="directory of the embedded store")


def _add_moving(commands: Commands) -> None:
    moving = commands.add_parser("move", help="copy a store into an empty one, also to change the pepper")
    moving.set_defaults(run=run_move, host=None, port=None, workers=None, data=None)
    moving.add_argument("source", metavar="FROM", help="embedded:DIR or a URL, as in store.url; no service may run on it")
    target = moving.add_mutually_exclusive_group(required=True)
    target.add_argument("target", metavar="TO", nargs="?", help="the same forms; empty")
    target.add_argument("--undo", action="store_true", help="let services start on FROM again, after a move or in the middle of one")
    moving.add_argument("--config", help=f"{CONFIG_HELP}: the peppers of TO")
    saving = commands.add_parser("backup", help="copy an embedded store, also while it runs")
    saving.set_defaults(run=run_backup)
    saving.add_argument("source", metavar="FROM", type=Path, help="directory of the store")
    saving.add_argument("target", metavar="TO", type=Path, help="a new directory")
    forgetting = commands.add_parser("forget", help="withdraw from a restored store whoever has withdrawn since its backup")
    forgetting.set_defaults(run=run_forget, host=None, port=None, workers=None, data=None)
    forgetting.add_argument("current", metavar="CURRENT", help="the store that is replaced; no service may run on it")
    forgetting.add_argument("restored", metavar="RESTORED", help="the restored one; neither here")
    forgetting.add_argument("--config", help=CONFIG_HELP)


def _settings(asked: argparse.Namespace) -> Settings:
    """The command line stands above the environment."""
    environment, flags = dict(os.environ), {}
    data = f"{EMBEDDED}{asked.data}" if asked.data else None
    told = {"SERVER__HOST": asked.host, "SERVER__PORT": asked.port, "SERVER__WORKERS": asked.workers, "STORE__URL": data}
    for name, value in told.items():
        if value is not None:
            variable = f"IDENTITY_{name}"
            environment[variable] = str(value)
            environment.pop(f"{variable}_FILE", None)
            flags[variable] = FLAGS[name]
    return sound_settings(asked.config or environment.get(CONFIG_VARIABLE, DEVELOPMENT), environment, flags)


def _running_url(url: str) -> str:
    """Where a store answers. Raises SettingsError for an embedded one that does not run."""
    if not url.startswith(EMBEDDED):
        return url
    socket = Path(url.removeprefix(EMBEDDED), "server.sock").absolute()
    if not socket.exists():
        raise SettingsError([f"store.url: no store runs in {socket.parent}; start the service on it first"])
    return f"unix://{quote(str(socket))}"


def _with_running(store: EmbeddedStore | None, settings: Settings) -> Settings:
    """With the address of the store that the service has started, which stays until its end."""
    if store:
        return replace(settings, store=replace(settings.store, url=store.url))
    if settings.store.url.startswith(EMBEDDED):
        raise SettingsError(["store.url: changing to an embedded store needs a restart; stop the service and start it again"])
    return settings


def _started(directory: Path) -> EmbeddedStore:
    store = EmbeddedStore(directory, log=lambda event, values: log.warning(event, **values))
    try:
        store.start()
    except EmbeddedError as error:
        raise SettingsError([f"store.url: {error}"]) from None
    return store


def _as_bound(bound: ServerSettings, settings: Settings) -> Settings:
    """With the places at which the service listens and the number of its workers, which stay until its end."""
    kept = {name: getattr(bound, name) for name in BOUND}
    if changed := [name for name, value in kept.items() if getattr(settings.server, name) != value]:
        log.warning("these settings change with a restart", settings=[f"server.{name}" for name in changed])
    return replace(settings, server=replace(settings.server, **kept))


def _examine(url: str, settings: Settings, mark: SeenMark | None = None, *, may_come: bool = False) -> None:
    """Raises SettingsError for a server that would lose links, or whose keys are not these settings', or that does not answer. `mark`: of
    a service that runs. `may_come`: a server that does not answer yet is none of the settings' faults."""

    async def examined() -> list[str]:
        client = Client(url, settings.store.timeout_seconds)
        try:
            return await examine(client) or await examine_marks(client, schema_of(settings.secrets.peppers), mark or SeenMark())
        except StoreUnavailable:
            if not may_come:
                return [f"store.url: the store does not answer at {store_name(url)}; start it, or correct the address or its password"]
            log.warning("the store does not answer yet; calls that need it get 503", store=store_name(url))
            return []
        finally:
            await client.close()

    if found := asyncio.run(examined()):
        raise SettingsError(found)
