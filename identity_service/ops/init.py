"""`identity-service init DIR`: settings for one shop, the service's secrets, and the environment of the shop's server (its edge)."""

import json
import os
import re
import secrets
import shlex
import stat
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from identity_service.errors import SettingsError
from identity_service.model.shop import key_digest
from identity_service.ops.check import faults
from identity_service.settings.layers import Layer
from identity_service.settings.load import FILE_NAME, config_directory, read_layers
from identity_service.settings.store_url import EMBEDDED, store_name
from identity_service.settings.toml_file import Name

IGNORED, EDGE, SIGNING_KEYS, PEPPER, STORE_URL = ".gitignore", "edge.env", "secrets/signing_keys", "secrets/pepper", "secrets/store_url"
RECEIPT_KEYS = "secrets/receipt_keys"
SETTINGS = """\
# Settings of one service, written by `identity-service init`. Relative paths start from the folder of this file.
# config/default.toml describes all settings. After a change, run `identity-service check --config` with this folder,
# then send SIGHUP to the service. Changes of host, port or an embedded store need a restart.

[server]
host = "127.0.0.1"
port = {port}
trusted_proxies = ["127.0.0.1", "::1"]  # addresses or networks of your own proxies; other forwarded headers are ignored
production = true

[store]
{store}

[secrets]  # in files that only the service may read; back them up, apart from the store
signing_keys_file = "{signing_keys}"  # one per line; all verify, the last one signs
pepper_file = "{pepper}"  # without it, nothing in the store can be found
receipt_keys_file = "{receipt_keys}"  # one per line, each with its first day; the newest signs receipts for everybody

[shops.{shop}]
public_keys = ["{public}"]  # used in the shop's pages
private_keys = ["{digest}"]  # the digest of IDENTITY_KEY in {edge}
origins = {origins}  # of the shop's pages, such as "https://shop.example"; the snippet works only there
policy = "{policy}"  # or strict, which depends on the visitor's region
"""
SNIPPET = """\
    <script>window.__clerk_q=window.__clerk_q||[];window.Clerk=window.Clerk||function(){{__clerk_q.push(arguments)}};
      Clerk('config', {{key: '{public}'}});</script>
    <script async src="/id/visitor.js"></script>"""
DONE = """\
{folder} now holds {files}.

Put this into the shop's pages; their web server must pass /id/ on to the service:
{snippet}
{origins}
On the shop's server, set IDENTITY_URL and IDENTITY_KEY from {edge}. No other file has this key:
    set -a; . {edge}; set +a
or name it as EnvironmentFile= (systemd) or --env-file (docker).

Admin pages, once the service runs: http://127.0.0.1:{port}/admin, sign in with IDENTITY_KEY.

Next:
    {program} serve --config {settings}"""
OPTIONS = {"origins": "--origin", "name": "--shop", "policy": "--policy", "port": "--port", "url": "--store"}


class CannotWrite(Exception):
    """One line for the user. Everything written before is removed."""


@dataclass(frozen=True, slots=True)
class NewKeys:
    public: str = field(default_factory=lambda: f"pk_{secrets.token_urlsafe(24)}")
    private: str = field(default_factory=lambda: f"sk_{secrets.token_urlsafe(32)}")
    signing: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    pepper: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    receipt: str = field(default_factory=lambda: f"{datetime.now(UTC).date()}:{secrets.token_urlsafe(32)}")

    @property
    def digest(self) -> str:
        """The private key's form in the settings."""
        return f"sha256:{key_digest(self.private)}"


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of the command line. `store`: a form of store.url; empty for an embedded store next to the settings."""

    shop: str
    origins: Sequence[str]
    policy: str
    store: str
    port: int


def init(folder: Path, choices: Choices, program: str) -> str:
    """Returns the text to print. `program`: how the user has called the command. Raises SettingsError before anything is written, and
    CannotWrite after everything written was removed."""
    folder, keys = folder.absolute(), NewKeys()
    files = _files(choices, keys)
    unwritable = [f"{text!a} is not a line of text in UTF-8; name another" for text in (str(folder), choices.store) if not _is_line(text)]
    refused = unwritable or [*_folder_faults(folder, files), *_faults(files[FILE_NAME], choices, keys)]
    if refused:
        raise SettingsError(refused)
    _write(folder, files)
    edge, settings = (shlex.quote(str(folder / name)) for name in (EDGE, FILE_NAME))
    missing = f'The snippet needs the shop\'s origin: add it to origins in {settings}, as ["https://shop.example"].\n'
    return DONE.format(
        folder=shlex.quote(str(folder)),
        files=", ".join(reversed(files)),
        snippet=SNIPPET.format(public=keys.public),
        origins="" if choices.origins else missing,
        edge=edge,
        port=choices.port,
        program=shlex.quote(program),
        settings=settings,
    )


def keys_text(keys: NewKeys) -> str:
    """The keys as lines of TOML, of the service's environment, and of the edge's environment."""
    values = {
        "SHOPS__SHOP__PUBLIC_KEYS": keys.public,
        "SHOPS__SHOP__PRIVATE_KEYS": keys.digest,
        "SECRETS__SIGNING_KEYS": keys.signing,
        "SECRETS__PEPPER": keys.pepper,
        "SECRETS__RECEIPT_KEYS": keys.receipt,
    }
    public, digest, signing, pepper, receipt = map(_quoted, values.values())
    return "\n".join(
        [
            "# for a settings file; SHOP is the name of your shop",
            f"[shops.shop]\npublic_keys = [{public}]\nprivate_keys = [{digest}]\n",
            f"[secrets]\nsigning_keys = [{signing}]\npepper = {pepper}\nreceipt_keys = [{receipt}]\n",
            "# or for the environment of the service",
            *(f"IDENTITY_{name}={value}" for name, value in values.items()),
            "\n# for the environment of the shop's server: the private key; the service only has its SHA-256",
            f"IDENTITY_KEY={keys.private}",
        ]
    )


def named_key_text(name: str, scopes: Sequence[str], last_day: str) -> str:
    """A private key with a name and scopes, as lines of TOML, and the key itself."""
    private = NewKeys().private
    end = [f'last_day = "{last_day}"'] if last_day else []
    lines = [f"[shops.shop.keys.{name}]", f'sha256 = "{key_digest(private)}"', f"scopes = {json.dumps(list(scopes))}", *end]
    return "\n".join(
        [
            "# for a settings file; replace `shop` by the name of your shop",
            *lines,
            "\n# for the environment of the program that calls; the service only has its SHA-256",
            f"IDENTITY_KEY={private}",
        ]
    )


def _files(choices: Choices, keys: NewKeys) -> dict[str, str]:
    """Texts by their paths in the folder. The settings are written last, so that a folder without them is visibly incomplete."""
    files = {
        IGNORED: "secrets/\nedge.env\ndata/\n",
        SIGNING_KEYS: f"{keys.signing}\n",
        PEPPER: f"{keys.pepper}\n",
        RECEIPT_KEYS: f"{keys.receipt}\n",
    }
    url = _whole(choices.store)
    store = f"url = {_quoted(url)}"
    if store_name(url) != url:
        files[STORE_URL] = f"{url}\n"
        store = f'url_file = "{STORE_URL}"'
    files[EDGE] = f"IDENTITY_URL=http://127.0.0.1:{choices.port}\nIDENTITY_KEY={keys.private}\n"
    files[FILE_NAME] = SETTINGS.format(
        port=choices.port,
        store=store,
        signing_keys=SIGNING_KEYS,
        pepper=PEPPER,
        receipt_keys=RECEIPT_KEYS,
        shop=choices.shop if re.fullmatch("[a-z0-9_-]+", choices.shop) else _quoted(choices.shop),
        public=keys.public,
        digest=keys.digest,
        edge=EDGE,
        origins=f"[{', '.join(map(_quoted, dict.fromkeys(choices.origins)))}]",
        policy=choices.policy,
    )
    return files


def _whole(store: str) -> str:
    """The store.url with an absolute path: on the command line, paths start from the working directory."""
    if not store:
        return f"{EMBEDDED}data"
    directory = store.removeprefix(EMBEDDED)
    return f"{EMBEDDED}{Path(directory).absolute()}" if store.startswith(EMBEDDED) and directory else store


def _quoted(text: str) -> str:
    """A string of JSON is one of TOML, except for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _faults(text: str, choices: Choices, keys: NewKeys) -> list[str]:
    """Faults in the settings to be written, each with its option."""
    values = tomllib.loads(text)
    values["secrets"] = {"signing_keys": [keys.signing], "pepper": keys.pepper, "receipt_keys": [keys.receipt]}
    values["store"] = {"url": _whole(choices.store)}

    def option(name: Name) -> str:
        return OPTIONS.get(name[-1], "")

    found = read_layers(Layer(values, option))
    return found.lines(faults(found.settings))


def _folder_faults(folder: Path, files: Mapping[str, str]) -> list[str]:
    exists, parent = folder.is_dir(), folder.parent
    if not exists and os.path.lexists(folder):
        return [f"{folder} is a file; name a folder"]
    if not exists and not parent.is_dir():
        return [f"the folder {parent} does not exist; make it first, or name another"]
    if not os.access(folder if exists else parent, os.W_OK | os.X_OK):
        return [f"{folder if exists else parent} is not writable for this user; change its owner, or name another folder"]
    if any(config_directory().glob(f"{folder.name}.toml")):
        return [f"`--config {folder.name}` names a shipped file; give the folder another name"]
    if open_to_others := next((one for one in (folder, folder / "secrets") if os.path.lexists(one) and not _is_own(one)), None):
        return [f"{open_to_others} is a link, belongs to another user, or is writable for others; correct that, or name another folder"]
    there = [name for name in (FILE_NAME, *files) if os.path.lexists(folder / name)]
    return [f"{folder} already has {there[0]}, which was not changed; edit it, or name another folder"] if there else []


def _is_own(folder: Path) -> bool:
    """Whether only this user can write into the folder."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _is_line(given: str) -> bool:
    """Whether it is one line of UTF-8. Arguments of a command may contain any bytes."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return not re.search(r"[\x00-\x1f\x7f]", given)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    made: list[Path] = []
    try:
        for directory in (folder, folder / "secrets"):
            if not directory.is_dir():
                directory.mkdir(mode=0o700)
                made.append(directory)
        for name, text in files.items():
            _write_new(folder / name, text, made)
    except BaseException as error:
        for path in reversed(made):
            remove = path.rmdir if path.is_dir() else path.unlink
            with suppress(OSError):
                remove()
        if isinstance(error, OSError):
            raise CannotWrite(f"cannot write {folder} ({error.strerror}); nothing of it was kept, so run this again") from None
        raise


def _write_new(path: Path, text: str, made: list[Path]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    made.append(path)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
