"""The command line, with one function for each command. Those that need the application, or a library of pages, import it themselves.
The others, and the supervisor of the workers, start sooner without them.

Exit codes: 0 done; 1 failed, or something is wrong; 2 wrong arguments or settings, with every fault listed; 3 cannot listen on the port.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from msgspec.structs import replace

from identity_service.errors import SettingsError, StoreUnavailable
from identity_service.model.shop import Scope, ShopId
from identity_service.ops.agents import fetch_keys, refresh
from identity_service.ops.backup import back_up
from identity_service.ops.check import key_faults, receipt_key_notes, sound_settings
from identity_service.ops.doctor import Finding, diagnose, placement, summary, unchecked_laws
from identity_service.ops.failover import fail_over
from identity_service.ops.init import CannotWrite, Choices, NewKeys, init, keys_text, named_key_text
from identity_service.ops.inspect import inspect
from identity_service.ops.move import move, undo_move
from identity_service.ops.stores import exit_code_of
from identity_service.ops.verify import verified_receipts
from identity_service.server.logs import configure, log, open_standard_files
from identity_service.server.metric_files import FOLDER_VARIABLE, count_in_supervisor, metric_folder
from identity_service.server.metrics import STORE_ERRORS
from identity_service.server.supervisor import CannotListen, bind, run_workers
from identity_service.settings.load import CONFIG_VARIABLE
from identity_service.settings.schema import KeySettings, ServerSettings, Settings, ShopSettings
from identity_service.settings.store_url import EMBEDDED, store_name
from identity_service.store.embedded import EmbeddedError, EmbeddedStore
from identity_service.store.examine import examine_servers, why_not_written
from identity_service.store.redis.cause import Cause
from identity_service.store.redis.client import StoreClient
from identity_service.store.schema import MARK_VARIABLE, Misfit, SeenMark, examine_marks, schema_of
from identity_service.version import VERSION

DEVELOPMENT = "development"
PROGRAM = "identity-service"
BOUND = ("host", "port", "internal_port", "workers", "drain_seconds")
"""Settings that a running server keeps until it restarts."""
CONFIG_HELP = "a shipped file (development, production), a path, or the folder of a settings.toml"
AWAY = "the store does not answer yet; calls that need it get 503"
UNWRITABLE = "the store refuses writes; calls that write get 503"
FLAGS = {"SERVER__HOST": "--host", "SERVER__PORT": "--port", "SERVER__WORKERS": "--workers", "STORE__URL": "--data"}
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None, today: Callable[[], date] = lambda: datetime.now(UTC).date()) -> int:
    open_standard_files()
    asked = _parser().parse_args(arguments, argparse.Namespace(today=today))
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
    """Blocks until a signal stops it. An embedded store starts here, before the workers, and stops after them."""
    settings = _settings(asked)
    configure(settings.server.log_level)
    store = None
    with metric_folder(Path(tempfile.gettempdir())) as metrics, ExitStack() as stores:
        os.environ[FOLDER_VARIABLE] = str(metrics)
        os.environ[MARK_VARIABLE] = str(metrics / "mark")
        with ExitStack() as sockets:
            bound = [sockets.enter_context(bind(settings.server.host, port, chosen)) for chosen, port in settings.server.ports.items()]
            if settings.store.url.startswith(EMBEDDED):
                store = _start_embedded(Path(settings.store.url.removeprefix(EMBEDDED)))
                stores.callback(store.stop)
            settings, mark = _with_running(store, settings), SeenMark(metrics / "mark")
            _examine(settings.store.url, settings, mark, may_come=True)

            def read_again() -> Settings:
                nonlocal settings
                found = _keep_bound(settings.server, _with_running(store, _settings(asked)))
                _examine(found.store.url, found, mark, may_come=found.store.url == settings.store.url)
                settings = found
                return found

            run_workers(settings, bound, read_again, "identity_service.app:create")
    return 0


def demo(asked: argparse.Namespace) -> int:
    """`serve` with the demo shop. By default it logs warnings only, because the shop's live panel calls often."""
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
    for note in receipt_key_notes(settings, datetime.now(UTC).date()):
        print(note)
    if asked.store:
        _examine(_running_url(settings.store.url), settings)
        print("the store is ready")
    return 0


def doctor(asked: argparse.Namespace) -> int:
    """Prints one line per finding. Exit code 1 if something is wrong."""
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
    findings = [*diagnose(found, url, replicas, timeout), *_marks(url, settings), *unchecked_laws(settings.shops, asked.today())]
    for finding in findings:
        print(f"{'wrong  ' if finding.wrong else 'warning'} {' '.join(filter(None, (finding.place, finding.text)))}")
    for note in receipt_key_notes(settings, datetime.now(UTC).date()):
        print(f"warning {note}")
    for line in placement(found, [ShopId(shop) for shop in settings.shops]):
        print(line)
    print(summary(found))
    return int(any(finding.wrong for finding in findings))


def _marks(url: str, settings: Settings) -> list[Finding]:
    """Why a service with these settings must not run on the store, such as another pepper."""

    async def fault() -> Misfit | None:
        client = StoreClient(url, settings.store.timeout_seconds)
        try:
            return await examine_marks(client, schema_of(settings.secrets.peppers), SeenMark())
        except StoreUnavailable:  # reported already
            return None
        finally:
            await client.close()

    found = asyncio.run(fault())
    return [Finding("", found.text)] if found else []


def run_failover(asked: argparse.Namespace) -> int:
    settings = _settings(asked)
    return exit_code_of(lambda: print(fail_over(asked.url or settings.store.url, settings.store.timeout_seconds)))


def run_preview(asked: argparse.Namespace) -> int:
    from identity_service.ops.preview import preview

    settings = _settings(asked)
    store = replace(settings.store, url=_running_url(settings.store.url))
    return preview(replace(settings, store=store), asked.policy, asked.shop)


def run_papers(asked: argparse.Namespace) -> int:
    """Writes the papers into the folder, or prints them."""
    from identity_service.ops.papers import draft_papers, write_papers

    settings = _settings(asked)
    if asked.shop is not None and asked.shop not in settings.shops:
        raise SettingsError([f"--shop {asked.shop}: the settings have no such shop; they have {', '.join(settings.shops)}"])
    shops = [asked.shop] if asked.shop else list(settings.shops)
    try:
        written = write_papers(settings, asked.folder, shops, asked.today()) if asked.folder else []
    except OSError as error:
        print(f"the papers cannot be written: {error}", file=sys.stderr)
        return 1
    texts = [] if asked.folder else [text for shop in shops for text in draft_papers(settings, shop, asked.today()).values()]
    print(*written, *texts, sep="\n")
    return 0


def keys_new(asked: argparse.Namespace) -> int:
    """Prints new keys, and writes nothing. Raises SettingsError."""
    if not asked.name:
        if asked.scopes or asked.last_day:
            raise SettingsError(["--scopes and --last-day belong to a key with a --name"])
        print(keys_text(NewKeys()))
        return 0
    named = ShopSettings(
        public_keys=[], private_keys=[], keys={asked.name: KeySettings(sha256="0" * 64, scopes=asked.scopes, last_day=asked.last_day)}
    )
    if found := key_faults(named):
        raise SettingsError([f"{name}: {text}" for name, text in found])
    print(named_key_text(asked.name, asked.scopes, asked.last_day))
    return 0


def verify_receipts(asked: argparse.Namespace) -> int:
    """Prints a line per receipt. Exit code 1 if one of them is not genuine or not verified, or a file cannot be read."""
    try:
        found = verified_receipts(asked.file.read_bytes(), asked.keys.read_bytes())
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    for one in found:
        print(one.line)
    return int(any(one.fault for one in found))


def agents_refresh(asked: argparse.Namespace) -> int:
    """Prints a line per directory. Exit code 1 if one of them cannot be fetched, or the file cannot be written."""
    agents = _settings(asked).agents
    if not agents.directories:
        print("agents.directories is empty, so no agent's keys are fetched; name the origins of agents there")
        return 0
    try:
        found = refresh(agents, fetch_keys, int(time.time()))
    except OSError as error:
        print(f"agents.keys_file: {agents.keys_file} cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    for one in found:
        print(one.line)
    return int(any(one.fault for one in found))


def run_move(asked: argparse.Namespace) -> int:
    if asked.undo:
        return undo_move(asked.source)
    return move(asked.source, asked.target, _settings(asked).secrets.peppers)


def run_forget(asked: argparse.Namespace) -> int:
    from identity_service.ops.forget import forget_gone

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
    making = commands.add_parser("init", help="write settings, secrets and the edge's environment for your own shop")
    making.set_defaults(run=initialise)
    making.add_argument("folder", metavar="DIR", type=Path, help="created if it does not exist; nothing in it is overwritten")
    making.add_argument("--shop", metavar="NAME", default="shop", help="the shop's name in settings and keys (%(default)s)")
    making.add_argument(
        "--origin", metavar="URL", action="append", default=[], help="origin of the shop's pages, such as https://shop.example; repeatable"
    )
    making.add_argument("--policy", choices=("standard", "strict"), default="standard", help="%(default)s; strict depends on the region")
    making.add_argument("--store", metavar="URL", default="", help="the store.url (default: embedded, in DIR/data)")
    making.add_argument("--port", type=int, default=8080, help="the service's port (%(default)s)")
    _add_running(commands)
    _add_moving(commands)
    proving = commands.add_parser("receipt", help="receipts of consent").add_subparsers(required=True)
    verifying = proving.add_parser("verify", help="verify receipts with the published keys, without the service")
    verifying.set_defaults(run=verify_receipts)
    verifying.add_argument("file", metavar="FILE", type=Path, help="a receipt, or an answer with one or several, as JSON")
    verifying.add_argument(
        "--keys", metavar="KEYFILE", type=Path, required=True, help="the service's /.well-known/consent-receipt-keys.json, saved"
    )
    agents = commands.add_parser("agents", help="keys of agents that sign their calls").add_subparsers(required=True)
    refreshing = agents.add_parser("refresh", help="fetch the keys of agents.directories; run it daily")
    refreshing.set_defaults(run=agents_refresh, host=None, port=None, workers=None, data=None)
    refreshing.add_argument("--config", help=CONFIG_HELP)
    keys = commands.add_parser("keys", help="keys of shops and of the service").add_subparsers(required=True)
    new = keys.add_parser("new", help="print new keys")
    new.add_argument("--name", default="", help="print one private key with this name and scopes")
    new.add_argument("--scopes", metavar="SCOPE", nargs="+", choices=list(Scope), default=[], help=f"of the key: {', '.join(Scope)}")
    new.add_argument("--last-day", metavar="DAY", default="", help="on which the key works, such as 2027-06-30")
    new.set_defaults(run=keys_new)
    return parser


def _add_running(commands: Commands) -> None:
    serving = commands.add_parser("serve", help="run the service")
    serving.set_defaults(run=serve)
    showing = commands.add_parser("demo", help="run the service with a small shop to try it in")
    showing.set_defaults(run=demo)
    checking = commands.add_parser("check", help="check settings and shops without starting")
    checking.set_defaults(run=check)
    checking.add_argument("--store", action="store_true", help="also examine the server of store.url")
    examining = commands.add_parser("doctor", help="report what is wrong with a live store, and what to set instead")
    examining.set_defaults(run=doctor)
    examining.add_argument("url", nargs="?", help="the store to examine (default: store.url)")
    replacing = commands.add_parser("failover", help="replace the primary behind sentinels as planned, without losing a write")
    replacing.set_defaults(run=run_failover)
    replacing.add_argument("url", nargs="?", help="with a login that may run every command (default: store.url)")
    previewing = commands.add_parser("preview", help="count what another policy would do to the visitors of a live store")
    previewing.set_defaults(run=run_preview)
    previewing.add_argument("--policy", choices=("standard", "strict"), required=True, help="the policy to switch to")
    previewing.add_argument("--shop", metavar="NAME", help="one shop (default: all of the settings)")
    drafting = commands.add_parser(
        "papers", help="draft a DPIA, a record of processing, a table of retention and a notice from the settings"
    )
    drafting.set_defaults(run=run_papers)
    drafting.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="write them into DIR/SHOP (default: print them)")
    drafting.add_argument("--shop", metavar="NAME", help="one shop (default: all of the settings)")
    for command in (serving, showing, checking, examining, replacing, previewing, drafting):
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
    target.add_argument("target", metavar="TO", nargs="?", help="an empty store, in the same forms")
    target.add_argument("--undo", action="store_true", help="allow services to start on FROM again, after or during a move")
    moving.add_argument("--config", help=f"{CONFIG_HELP}: the peppers of TO")
    saving = commands.add_parser("backup", help="copy an embedded store, also while it runs")
    saving.set_defaults(run=run_backup)
    saving.add_argument("source", metavar="FROM", type=Path, help="directory of the store")
    saving.add_argument("target", metavar="TO", type=Path, help="a new directory")
    forgetting = commands.add_parser("forget", help="repeat withdrawals and erasures since the backup in a restored store")
    forgetting.set_defaults(run=run_forget, host=None, port=None, workers=None, data=None)
    forgetting.add_argument("current", metavar="CURRENT", help="the store that will be replaced; no service may run on it")
    forgetting.add_argument("restored", metavar="RESTORED", help="the restored store; no service may run on it")
    forgetting.add_argument("--config", help=CONFIG_HELP)


def _settings(asked: argparse.Namespace) -> Settings:
    """The settings. The command line overrides the environment."""
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
    """The URL of a running store. Raises SettingsError for an embedded one that does not run."""
    if not url.startswith(EMBEDDED):
        return url
    socket = Path(url.removeprefix(EMBEDDED), "server.sock").absolute()
    if not socket.exists():
        raise SettingsError([f"store.url: no store runs in {socket.parent}; start the service on it first"])
    return f"unix://{quote(str(socket))}"


def _with_running(store: EmbeddedStore | None, settings: Settings) -> Settings:
    """The settings with the address of the embedded store that this service has started, which does not change while it runs."""
    if store:
        return replace(settings, store=replace(settings.store, url=store.url))
    if settings.store.url.startswith(EMBEDDED):
        raise SettingsError(["store.url: changing to an embedded store needs a restart; stop the service and start it again"])
    return settings


def _start_embedded(directory: Path) -> EmbeddedStore:
    store = EmbeddedStore(directory, log=_report_death)
    try:
        store.start()
    except EmbeddedError as error:
        raise SettingsError([f"store.url: {error}"]) from None
    return store


def _report_death(event: str, values: dict[str, object]) -> None:
    """Of the embedded store."""
    log.warning(event, **values)
    if "reason" in values:
        count_in_supervisor(STORE_ERRORS, reason=str(values["reason"]))


def _keep_bound(bound: ServerSettings, settings: Settings) -> Settings:
    """The settings with the addresses and the number of workers that do not change while the service runs."""
    kept = {name: getattr(bound, name) for name in BOUND}
    if changed := [name for name, value in kept.items() if getattr(settings.server, name) != value]:
        log.warning("these settings change with a restart", settings=[f"server.{name}" for name in changed])
    return replace(settings, server=replace(settings.server, **kept))


def _examine(url: str, settings: Settings, mark: SeenMark | None = None, *, may_come: bool = False) -> None:
    """Raises SettingsError if the store would lose data, was written under other keys, does not answer, or refuses writes. `mark`: of a
    running service. `may_come`: a store that does not answer or refuses writes is only logged, because it may do so later."""

    async def store_faults() -> list[str]:
        client, name = StoreClient(url, settings.store.timeout_seconds), store_name(url)
        try:
            if faults := await examine_servers(client):
                return faults
            refusal = await why_not_written(client)
            if refusal and not may_come:
                return [f"store.url: the store at {name} refuses writes ({refusal}). {refusal.sentence}"]
            if refusal:
                log.warning(UNWRITABLE, store=name, reason=refusal, meaning=refusal.sentence)
            fault = await examine_marks(client, schema_of(settings.secrets.peppers), mark if mark and not refusal else SeenMark())
            return [fault.text] if fault else []
        except StoreUnavailable as error:
            cause = Cause(error.reason)
            if not may_come:
                return [f"store.url: the store does not answer at {name} ({cause}). {cause.sentence}"]
            log.warning(AWAY, store=name, reason=cause, meaning=cause.sentence)
            return []
        finally:
            await client.close()

    if found := asyncio.run(store_faults()):
        raise SettingsError(found)
