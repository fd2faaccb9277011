"""`identity-service agents refresh`: directories are strangers' servers, and what they answer is bounded."""

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from identity_service.cli import main
from identity_service.model.agent_key import MOST_KEYS, WELL_KNOWN, AgentKey, Directory
from identity_service.ops.agents import MEDIA, MOST_BYTES, CannotFetch, fetch_keys, is_public, refresh
from identity_service.settings.schema import AgentSettings
from identity_service.store.agent_keys import AgentKeyFile
from tests.signing import ORIGIN, Signer

Answer = Callable[[http.server.BaseHTTPRequestHandler], object]


def answered(body: bytes, status: int = 200, **headers: str) -> Answer:
    sent = {"Content_Type": MEDIA, "Content_Length": str(len(body))} | headers

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, text in sent.items():
            request.send_header(name.replace("_", "-"), text)
        request.end_headers()
        request.wfile.write(body)

    return answer


def dripping(request: http.server.BaseHTTPRequestHandler) -> None:
    """Does not end its headers for a long time, nor stays silent."""
    for _ in range(400):
        request.wfile.write(b"x")
        threading.Event().wait(0.01)


def published(*keys: AgentKey, **more: object) -> bytes:
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": key.thumbprint, "x": key.x} | more for key in keys]}).encode()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, with its key."""
    private, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    key = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key)
    return path


@contextmanager
def directory(certificate: Path, answer: Answer) -> Iterator[str]:
    """The origin of a directory that answers so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == WELL_KNOWN
            answer(self)

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is expected."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"https://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def fetched(certificate: Path, answer: Answer, seconds: float = 10) -> list[AgentKey]:
    with directory(certificate, answer) as origin:
        return fetch_keys(origin, ssl.create_default_context(cafile=str(certificate)), lambda address: True, seconds)


def test_a_directory_is_fetched_with_its_keys(certificate: Path) -> None:
    one, two = Signer().key, Signer().key
    assert fetched(certificate, answered(published(one, two, use="sig"))) == [one, two]
    [found] = fetched(certificate, answered(published(one, nbf=1, exp=2), Content_Type=f"{MEDIA}; charset=utf-8"))
    assert found == AgentKey(one.x, 1, 2)


RSA = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
TEST_KEY = AgentKey("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"keys": [RSA, 1, None, {"kty": "OKP", "crv": "Ed25519"}, {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]}).encode(),
        published(TEST_KEY),
        published(Signer().key, use="enc"),
        published(Signer().key, kid="mine"),
        published(Signer().key, nbf="tomorrow"),
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": Signer().key.x[:-1] + "_"}]}).encode(),
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "é" * 43}]}).encode(),
    ],
    ids=["other kinds", "a published test key", "for encryption", "a foreign name", "no time", "another last character", "no base64"],
)
def test_other_malformed_and_well_known_keys_are_left_out(certificate: Path, body: bytes) -> None:
    assert fetched(certificate, answered(body)) == []


HOSTILE: list[tuple[str, Answer]] = [
    ("redirects", answered(b"", 302, Location="https://169.254.169.254/")),
    ("404", answered(b"", 404)),
    ("is not application", answered(published(), Content_Type="text/html")),
    ("is not application", answered(published(), Content_Encoding="gzip")),
    ("larger than", answered(b" " * (MOST_BYTES + 1))),
    ("not JSON", answered(b"{")),
    ("not JSON", answered(b"[" * 200_000)),
    ("no list", answered(b"[]")),
    ("no list", answered(b'{"keys": {}}')),
    ("at most", answered(published(*[Signer().key] * (MOST_KEYS + 1)))),
    ("not JSON", answered(b'{"keys": [', Content_Length="12")),
    ("cannot be reached", lambda request: request.wfile.write(b"x" * 99_999 + b"\r\n")),
]


@pytest.mark.parametrize(("said", "answer"), HOSTILE, ids=[f"{said}-{at}" for at, (said, _) in enumerate(HOSTILE)])
def test_a_hostile_answer_is_no_directory(certificate: Path, said: str, answer: Answer) -> None:
    with pytest.raises(CannotFetch, match=said):
        fetched(certificate, answer)


def test_a_directory_that_never_ends_is_cut_off(certificate: Path) -> None:
    with pytest.raises(CannotFetch):
        fetched(certificate, dripping, seconds=0.3)


def test_another_names_certificate_and_a_missing_server_are_refused(certificate: Path) -> None:
    with directory(certificate, answered(published())) as origin, pytest.raises(CannotFetch, match="SSLCertVerificationError"):
        fetch_keys(origin, allowed=lambda address: True)
    with pytest.raises(CannotFetch, match="cannot be reached"):
        fetch_keys(origin, allowed=lambda address: True)
    with pytest.raises(CannotFetch, match="cannot be resolved"):
        fetch_keys("https://nowhere.invalid")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.7", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("192.88.99.1", "192.0.0.8", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "ff02::1", "ff0e::1"),
        *("::127.0.0.1", "::93.184.216.34", "::ffff:0:127.0.0.1", "::ffff:192.88.99.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1"),
        *("2002:7f00:1::", "2002:a00:1::", "2002:5db8:d822::", "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1", "3fff::1", "5f00::1"),
        *("fec0::1", "100::1", "2001:db8::1", "fe80::5efe:808:808", "fc00::200:5efe:808:808"),
    ],
)
def test_addresses_of_ones_own_network_are_never_asked(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "::ffff:93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "2a00:1450::1", "2606:4700::5efe:808:808"]
)
def test_public_addresses_are_asked(address: str) -> None:
    assert is_public(address)


def test_a_name_of_ones_own_machine_is_never_asked() -> None:
    with pytest.raises(CannotFetch, match="not a public one"):
        fetch_keys("https://localhost:1")


def agents(path: Path, *directories: str) -> AgentSettings:
    return AgentSettings(directories=list(directories), keys_file=str(path), hosts=[], removed_prefix="")


def test_an_outage_revokes_no_key_and_an_answer_does(tmp_path: Path) -> None:
    path, signer = tmp_path / "keys.json", Signer()
    answers: dict[str, list[AgentKey]] = {ORIGIN: [signer.key]}

    def fetch(origin: str) -> list[AgentKey]:
        if origin not in answers:
            raise CannotFetch("it is away")
        return answers[origin]

    first = refresh(agents(path, ORIGIN + "/", "https://AWAY.example:443"), fetch, 5)
    assert [one.line for one in first] == [f"{ORIGIN}: 1 key", "https://away.example: it is away; 0 keys of an earlier time stay"]
    file = AgentKeyFile(str(path))
    assert file.changed()
    assert file.read() == [Directory(ORIGIN, 5, [signer.key]), Directory("https://away.example", 0, [])]
    assert not file.changed()
    del answers[ORIGIN]
    assert [one.line for one in refresh(agents(path, ORIGIN), fetch, 6)] == [f"{ORIGIN}: it is away; 1 key of an earlier time stay"]
    assert file.changed()
    assert file.read() == [Directory(ORIGIN, 5, [signer.key])]
    answers[ORIGIN] = []
    assert [one.line for one in refresh(agents(path, ORIGIN), fetch, 7)] == [f"{ORIGIN}: 0 keys"]
    assert [one.name for one in tmp_path.iterdir()] == ["keys.json"]
    path.write_text("{")
    refresh(agents(path, ORIGIN), fetch, 8)
    assert file.read() == [Directory(ORIGIN, 8, [])]


@pytest.mark.parametrize("error", [RecursionError("deep"), ValueError("port"), KeyError("x")])
def test_a_directory_that_fails_in_any_way_holds_up_no_other(tmp_path: Path, error: Exception) -> None:
    path, signer = tmp_path / "keys.json", Signer()
    file, hostile = AgentKeyFile(str(path)), Directory("https://hostile.example", 3, [Signer().key])
    file.write([hostile, Directory(ORIGIN, 3, [])])

    def fetch(origin: str) -> list[AgentKey]:
        if origin == hostile.origin:
            raise error
        return [signer.key]

    found = refresh(agents(path, hostile.origin, ORIGIN), fetch, 5)
    fault = f"it cannot be read ({type(error).__name__})"
    assert [one.line for one in found] == [f"{hostile.origin}: {fault}; 1 key of an earlier time stay", f"{ORIGIN}: 1 key"]
    assert file.read() == [hostile, Directory(ORIGIN, 5, [signer.key])]


def test_the_command_says_what_it_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_CONFIG", "development")
    assert main(["agents", "refresh"]) == 0
    assert "agents.directories is empty" in capsys.readouterr().out
    monkeypatch.setenv("IDENTITY_AGENTS__DIRECTORIES", "https://localhost:1")
    monkeypatch.setenv("IDENTITY_AGENTS__KEYS_FILE", str(tmp_path / "keys.json"))
    assert main(["agents", "refresh"]) == 1
    assert capsys.readouterr().out == "https://localhost:1: its address is not a public one; 0 keys of an earlier time stay\n"
    monkeypatch.setenv("IDENTITY_AGENTS__KEYS_FILE", str(tmp_path / "no folder" / "keys.json"))
    assert main(["agents", "refresh"]) == 1
    assert "cannot be written" in capsys.readouterr().err
