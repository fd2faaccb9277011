"""Pages about the shop's staff: the audit, and living sessions."""

from dataclasses import dataclass
from typing import Any

from identity_service.errors import Invalid
from identity_service.model.audit import Act
from identity_service.web.admin.csv_file import csv_reply
from identity_service.web.admin.pages import AdminCall, View
from identity_service.web.admin.references import PERSONS, person_in_form
from identity_service.web.admin.sessions import Sessions
from identity_service.web.call import Reply
from identity_service.web.calls import audit as calls
from identity_service.web.visit import count_lookup

COLUMNS = ("time", "act", "actor", "person", "subject", "found")
FILTERS = ("actor", "act", "since", "until", "cursor")


async def audit(asked: AdminCall) -> View | Reply:
    """What was done, also as a file. A posted form asks who looked at one person, so that no email stands in an address."""
    values: dict[str, Any] = {
        "acts": list(Act),
        "asked": asked.form or {},
        "wanted": asked.query,
        "accesses": None,
        "log": None,
        "lookups": [],
        "fault": None,
    }
    try:
        if asked.form is not None:
            person, call = person_in_form(asked, PERSONS), asked.call()
            count_lookup(call)
            return View("admin/audit.html", values | {"accesses": (await calls.accesses_to(call, person)).accesses})
        query = {name: asked.query[name] for name in FILTERS if asked.query.get(name)}
        log = (await calls.page(asked.call(query=query))).body
        if asked.query.get("as") == "csv":
            return csv_reply("audit", COLUMNS, (tuple(getattr(one, name) for name in COLUMNS) for one in log.entries))
        lookups = (await calls.lookup_counts(asked.call())).body.lookups
        further = {name: text for name, text in query.items() if name != "cursor"}
        return View("admin/audit.html", values | {"log": log, "lookups": lookups, "further": further})
    except Invalid as error:
        return View("admin/audit.html", values | {"fault": error.detail}, error.status)


@dataclass(frozen=True, slots=True)
class LivingSessions:
    """The page of living sessions. A posted form ends one."""

    sessions: Sessions

    async def __call__(self, asked: AdminCall) -> View:
        ended = None
        if asked.form is not None:
            ended = await self.sessions.end(asked.session, asked.form.get("session", ""))
        living = await asked.services.store.sessions.living(asked.shop.shop_id, int(asked.services.clock()))
        return View("admin/sessions.html", {"living": living, "own": asked.session.session_id, "ended": ended})
