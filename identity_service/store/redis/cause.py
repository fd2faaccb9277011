"""Why a server of the store does not answer, or refuses a command. No cause contains anything of the store or of a caller."""

import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import redis

from identity_service.store.redis.command import ReplyError


class Cause(StrEnum):
    CREDENTIALS = "credentials"
    PERMISSION = "permission"
    NAME = "name"
    TLS = "tls"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    CLIENTS = "clients"
    LOADING = "loading"
    BUSY = "busy"
    OOM = "oom"
    NOREPLICAS = "noreplicas"
    READONLY = "readonly"
    MISCONF = "misconf"
    DISK_FULL = "disk_full"
    CROSSSLOT = "crossslot"
    CLUSTER_DOWN = "cluster_down"
    PEPPER = "pepper"
    EMPTIED = "emptied"
    MOVED = "moved"
    OTHER = "other"

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do. It is for operators."""
        return SENTENCES[self]


SENTENCES = {
    Cause.CREDENTIALS: "The store refuses the login; correct the user and the password in store.url, or the user on the server.",
    Cause.PERMISSION: "The login lacks a right that the service needs; `identity-service doctor` names the rights to grant.",
    Cause.NAME: "The name of the store is not known; correct the host, or the sentinels' name, in store.url, or repair the name service.",
    Cause.TLS: (
        "TLS with the store fails; correct its certificate, the host in store.url, or ssl_ca_certs; add ssl_certfile if it asks for one."
    ),
    Cause.REFUSED: (
        "Nothing listens at the store's address; start the server, or correct store.url. An embedded store is started again: see the log."
    ),
    Cause.TIMEOUT: (
        "The store does not answer within store.timeout_seconds: it is frozen, overloaded or cut off. Look at the server and the network; "
        "with rediss://, see that it speaks TLS."
    ),
    Cause.CLOSED: (
        "The store closed the connection: it ended, or a proxy before it found no server. See its log; if it expects TLS, write rediss://."
    ),
    Cause.CLIENTS: "The store accepts no more connections; raise maxclients, or find who holds them (CLIENT LIST).",
    Cause.LOADING: "The store still loads its data after a start; wait, and see in its log why it started.",
    Cause.BUSY: "A script blocks the store; find out whose it is, and set busy-reply-threshold to 5000.",
    Cause.OOM: "The memory of the store is full, so it refuses writes; raise maxmemory, or shorten retention. Removals still work.",
    Cause.NOREPLICAS: "Too few replicas of the store have a write in time, so it does not count; start the replicas that are missing.",
    Cause.READONLY: "The store is a replica and takes no writes; name the primary in store.url, or let one take over.",
    Cause.MISCONF: "The store cannot write its file, so it refuses writes; make room on its disk, and see its log.",
    Cause.DISK_FULL: "The disk of the store is full; make room in its folder. It then starts by itself, and no acknowledged write is lost.",
    Cause.CROSSSLOT: "The store is a cluster; write redis+cluster:// in store.url.",
    Cause.CLUSTER_DOWN: "No server of the cluster serves these keys; start the shard's primary or replica, and see CLUSTER SLOTS.",
    Cause.PEPPER: "The store was written with another pepper; put the right one back, or point store.url at the right store.",
    Cause.EMPTIED: "The store was emptied while the service ran; restore it and send SIGHUP, or start again with an empty one.",
    Cause.MOVED: "The store was moved, or has keys of another schema; name the right store, or finish `identity-service move`.",
    Cause.OTHER: "The store answers in a way that has no name here; see its log, and run `identity-service doctor`.",
}

OF_CODES = {
    "NOAUTH": Cause.CREDENTIALS,
    "WRONGPASS": Cause.CREDENTIALS,
    "DENIED": Cause.CREDENTIALS,
    "NOPERM": Cause.PERMISSION,
    "OOM": Cause.OOM,
    "NOREPLICAS": Cause.NOREPLICAS,
    "READONLY": Cause.READONLY,
    "MASTERDOWN": Cause.NOREPLICAS,
    "MISCONF": Cause.MISCONF,
    "LOADING": Cause.LOADING,
    "BUSY": Cause.BUSY,
    "CROSSSLOT": Cause.CROSSSLOT,
    "CLUSTERDOWN": Cause.CLUSTER_DOWN,
    "MOVED": Cause.CROSSSLOT,
    "TRYAGAIN": Cause.CLUSTER_DOWN,
}
OF_TEXTS = {
    "ACL failure in script": Cause.PERMISSION,
    "max number of clients": Cause.CLIENTS,
    "No such master": Cause.NAME,
    "protected mode": Cause.CREDENTIALS,
}
OF_EXCEPTIONS: tuple[tuple[type[BaseException], Cause], ...] = (
    (redis.AuthenticationError, Cause.CREDENTIALS),
    (redis.exceptions.NoPermissionError, Cause.PERMISSION),
    (redis.BusyLoadingError, Cause.LOADING),
    (ssl.SSLError, Cause.TLS),
    (socket.gaierror, Cause.NAME),
    (TimeoutError, Cause.TIMEOUT),
    (redis.TimeoutError, Cause.TIMEOUT),
    (ConnectionResetError, Cause.CLOSED),
    (BrokenPipeError, Cause.CLOSED),
    (ConnectionError, Cause.REFUSED),
    (OSError, Cause.REFUSED),
)
"""The first that fits. An error of the library hides the one of the system behind it."""


def cause_of_reply(error: ReplyError) -> Cause:
    return OF_CODES.get(error.code) or _of_text(str(error)) or Cause.OTHER


def cause_of_exception(error: BaseException) -> Cause:
    """`error`: from the library while it connects."""
    chain = list(_chain(error))
    for one in chain:
        for kind, cause in OF_EXCEPTIONS:
            if isinstance(one, kind):
                return cause
    return _of_text(str(error)) or (Cause.CLOSED if isinstance(error, redis.ConnectionError) else Cause.OTHER)


def _of_text(text: str) -> Cause | None:
    return next((cause for part, cause in OF_TEXTS.items() if part in text), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__
