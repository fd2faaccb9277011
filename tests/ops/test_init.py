"""`identity-service init`: what it writes is whole, sound and private, serves from any directory, and is not half there after a failure."""

import os
import re
import resource
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

from identity_service import cli
from identity_service.model.shop import key_digest
from identity_service.ops.check import sound_settings
from identity_service.settings.load import load
from tests.commands import run
from tests.test_command import PATIENCE, free_port, served

SNIPPET = Path(__file__).parent.parent.parent / "identity_service/web/demo/static/snippet.js"
SECRET = {"edge.env", "secrets/signing_keys", "secrets/pepper", "secrets/receipt_keys"}
WRITTEN = {"settings.toml", ".gitignore", *SECRET}


CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("IDENTITY_")}


def init(folder: Path | str, *options: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return run("init", str(folder), *options, environment=CLEAN, cwd=cwd)


def init_within(most_bytes: int, folder: Path) -> "subprocess.CompletedProcess[str]":
    """In a process that may write no larger file."""
    command = [sys.executable, "-m", "identity_service", "init", str(folder)]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    return subprocess.run(command, env=CLEAN, capture_output=True, text=True, timeout=PATIENCE, check=False, preexec_fn=limit)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def edge_of(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "edge.env").read_text().splitlines())


def test_it_asks_nothing_and_writes_a_sound_folder_that_only_its_owner_reads(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    told = init(folder)
    assert (told.returncode, told.stderr) == (0, "")
    assert files_in(folder) == WRITTEN
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    settings = sound_settings(str(folder), {})
    assert (settings.server.host, settings.server.port, settings.server.production) == ("127.0.0.1", 8080, True)
    assert settings.store.url == f"embedded:{folder}/data"
    assert list(settings.shops) == ["shop"]
    shop = settings.shops["shop"]
    assert (shop.origins, shop.policy) == ([], "standard")
    assert len((folder / "settings.toml").read_text().splitlines()) <= 25


def test_the_private_key_stands_in_the_edges_environment_and_nowhere_else(tmp_path: Path) -> None:
    told = init(tmp_path / "own", "--port", "8099")
    edge = edge_of(tmp_path / "own")
    assert edge["IDENTITY_URL"] == "http://127.0.0.1:8099"
    private = edge["IDENTITY_KEY"]
    assert load(str(tmp_path / "own"), {}).shops["shop"].private_keys == [f"sha256:{key_digest(private)}"]
    others = [path.read_text() for path in (tmp_path / "own").rglob("*") if path.is_file() and path.name != "edge.env"]
    secrets = [(tmp_path / "own/secrets" / name).read_text().strip() for name in ("signing_keys", "pepper", "receipt_keys")]
    assert not [text for text in (*others, told.stdout) if private in text]
    assert not [secret for secret in secrets if secret in told.stdout + (tmp_path / "own/settings.toml").read_text()]
    shell = f". {tmp_path}/own/edge.env && echo $IDENTITY_KEY"
    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout.strip() == private


def test_two_of_them_share_no_secret(tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert init(tmp_path / name).returncode == 0
    for name in {"settings.toml", *SECRET}:
        assert (tmp_path / "one" / name).read_text() != (tmp_path / "other" / name).read_text()


def test_it_tells_the_snippet_the_edge_the_sign_in_and_what_comes_next(tmp_path: Path) -> None:
    folder = tmp_path / "my own"
    told = init(folder).stdout
    [public] = load(str(folder), {}).shops["shop"].public_keys
    _, queue, config = SNIPPET.read_text().splitlines()
    assert f"<script>{queue}\n      {config.replace('demo-public-key', public)}</script>" in told
    assert '<script async src="/id/visitor.js"></script>' in told
    assert "needs the shop's origin" in told
    assert f"set -a; . {shlex.quote(f'{folder}/edge.env')}; set +a" in told
    assert "http://127.0.0.1:8080/admin, sign in with IDENTITY_KEY" in told
    assert told.endswith(f"\n    identity-service serve --config {shlex.quote(f'{folder}/settings.toml')}\n")
    assert "needs the shop's origin" not in init(tmp_path / "other", "--origin", "https://a.example").stdout


def test_the_next_command_is_called_as_this_one_was(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("identity-service")
    told = subprocess.run([program, "init", tmp_path / "own"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert told.stdout.endswith(f"\n    {shlex.quote(str(program))} serve --config {tmp_path}/own/settings.toml\n")


@pytest.mark.skipif(not shutil.which("git"), reason="needs git: apt-get install git")
def test_its_secrets_stay_out_of_a_repository(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert init(tmp_path / "own").returncode == 0
    (tmp_path / "own/data").mkdir()
    (tmp_path / "own/data/appendonly.aof").touch()
    command = ["git", "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard"]
    untracked = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert untracked == ["own/.gitignore", "own/settings.toml"]


@pytest.mark.parametrize("spoil", ["link", "open", "open folder"])
def test_a_folder_into_which_others_may_write_is_refused(tmp_path: Path, spoil: str) -> None:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir()
    if spoil == "link":
        (own / "secrets").symlink_to(tmp_path / "elsewhere")
    else:
        place = own / "secrets" if spoil == "open" else own
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
    refused = init(own)
    assert (refused.returncode, "is writable for others" in refused.stderr) == (2, True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["development", "production", "a\nb"])
def test_a_folder_that_could_not_be_named_is_refused(tmp_path: Path, name: str) -> None:
    refused = init(tmp_path / name)
    assert refused.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_options_are_in_the_settings(tmp_path: Path) -> None:
    origins = ["https://a.example", "https://b.example:8443"]
    flags = [word for origin in (*origins, origins[0]) for word in ("--origin", origin)]
    store = "redis://identity:hidden@127.0.0.1:6379"
    told = init(tmp_path / "own", *flags, "--shop", "my-shop", "--policy", "strict", "--port", "9000", "--store", store)
    settings = sound_settings(str(tmp_path / "own"), {})
    shop = settings.shops["my-shop"]
    assert (shop.origins, shop.policy, settings.server.port, settings.store.url) == (origins, "strict", 9000, store)
    assert "hidden" not in told.stdout + (tmp_path / "own/settings.toml").read_text()


@pytest.mark.parametrize(
    ("store", "written"),
    [("embedded:store", "embedded:{here}/store"), ("redis://127.0.0.1", "redis://127.0.0.1"), ("unix:///run/a.sock", "unix:///run/a.sock")],
)
def test_a_store_without_a_secret_stands_in_the_settings(tmp_path: Path, store: str, written: str) -> None:
    assert init("own", "--store", store, cwd=tmp_path).returncode == 0
    values = tomllib.loads((tmp_path / "own/settings.toml").read_text())
    assert values["store"] == {"url": written.format(here=tmp_path)}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--origin", "http://localhost:3000"], "on localhost, use the shipped settings with `--config development` (--origin)"),
        (
            ["--origin", "https://a.example/"],
            "not an origin like https://shop.example; write https://a.example (--origin)",
        ),
        (["--origin", "\x7f"], "is not an origin"),
        (["--shop", "Mine"], "a shop's name must be 1 to 32 of a-z 0-9 _ - and begin with a letter or digit (--shop)"),
        (["--shop", '"]\nx'], "a shop's name must be 1 to 32"),
        (["--port", "99999"], "must be a whole number from 1 to 65,535 (--port)"),
        (["--store", "redis://u:hidden"], "is none of embedded:DIR"),
        (["--store", "embedded:"], "is none of embedded:DIR"),
        (["--store", "unix:///\udcff"], "is not a line of text in UTF-8"),
        (["--policy", "lenient"], "invalid choice"),
    ],
)
def test_a_bad_value_is_refused_before_anything_is_written(tmp_path: Path, options: list[str], told: str) -> None:
    refused = init(tmp_path / "own", *options)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "hidden" not in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_bad_values_are_told_at_once(tmp_path: Path) -> None:
    refused = init(tmp_path / "own", "--origin", "a", "--origin", "http://b", "--shop", "C", "--port", "0", "--store", "d")
    assert sorted(re.findall(r"\((--[a-z]+)\)", refused.stderr)) == ["--origin", "--origin", "--port", "--shop", "--store"]


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_nothing_is_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / name).symlink_to("nowhere") if name == "edge.env" else (tmp_path / name).write_text("mine")
    refused = init(tmp_path)
    assert refused.returncode == 2
    assert f"{tmp_path} already has {name}" in refused.stderr
    assert {path.name for path in tmp_path.rglob("*")} == {"secrets", Path(name).name}


def test_a_folder_that_is_there_is_taken_with_what_else_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    assert init(".", cwd=tmp_path).returncode == 0
    assert files_in(tmp_path) == WRITTEN | {"notes"}


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert init(tmp_path / "no/where").stderr == f"the folder {tmp_path}/no does not exist; make it first, or name another\n"
    assert init(tmp_path / "file").stderr == f"{tmp_path}/file is a file; name a folder\n"
    assert files_in(tmp_path) == {"file"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_this_user_cannot_write_is_refused(exists: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """As another user from where it begins, since no other user may reach what is installed here."""
    child = os.fork()
    if not child:
        os.setuid(65_534)
        code = cli.main(["init", "/" if exists else "/identity-init-test"])
        sys.stderr.flush()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert capfd.readouterr() == ("", "/ is not writable for this user; change its owner, or name another folder\n")


@pytest.mark.parametrize("exists", [False, True])
def test_nothing_half_written_is_left_when_a_write_fails(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "own"
    if exists:
        folder.mkdir()
    failed = init_within(500, folder)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"cannot write {folder} (File too large); nothing of it was kept, so run this again\n"
    assert [path.name for path in tmp_path.rglob("*")] == (["own"] if exists else [])
    assert init(folder).returncode == 0


def test_what_it_writes_serves_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.chdir(tmp_path)
    assert init("own", "--port", str(port), "--origin", "https://shop.example").returncode == 0
    key = edge_of(tmp_path / "own")["IDENTITY_KEY"]
    for directory, named in ((tmp_path, "own"), (tmp_path / "own/secrets", "../settings.toml")):
        monkeypatch.chdir(directory)
        with served(tmp_path, "--config", named, data=None) as service:
            assert service.url == f"http://127.0.0.1:{port}"
            assert service.call("/v1/links", {"email": "a@example.com", "visitor": "abc123"}, key)[0] == 200
            assert service.call("/v1/lookups", {"email": "a@example.com"}, "demo-private-key")[0] == 401
    assert (tmp_path / "own/data/appendonlydir").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"own", "log"}


def test_commands_take_the_folder(tmp_path: Path) -> None:
    assert init(tmp_path / "own").returncode == 0

    def told(*arguments: str) -> tuple[int, str]:
        ran = run(*arguments, "--config", str(tmp_path / "own"), environment=os.environ)
        return ran.returncode, ran.stdout + ran.stderr

    advice = "shops.shop.origins is empty, so only servers can call; add the origins of the shop's pages"
    assert told("check") == (0, f"the settings are valid; shops: shop (standard)\n{advice}\n")
    assert told("doctor") == (2, f"store.url: no store runs in {tmp_path}/own/data; start the service on it first\n")
    one, other = f"embedded:{tmp_path}/one", f"embedded:{tmp_path}/other"
    for command in ("move", "forget"):
        assert told(command, one, other) == (1, f"{one}: there is no store in this directory; correct its path\n")
