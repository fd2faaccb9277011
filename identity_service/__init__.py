"""Visitor identity for webshops: the map of the code.

Packages and modules. Each imports only from those before it:

    errors      the errors of calls and of settings
    settings/   the operator's settings: schema, layers, and where each value was written
    model/      the nouns, without I/O but for the shipped regions: visitor, consent, policy, handle, person, link, event, shop, token,
                agent, staff, audit, estimate, reference, utc
    signals/    consent as banners, standards and browsers send it, with `reader` as the entry point; and agents with their signatures
    server/     the HTTP process: protocol, supervisor, limits, logs, metrics
    store/      stored data: keys, one Lua script per change (`lua/`), the client (`redis/`), the embedded server
    service/    use cases: visit, identify, grants, opt_ins, receipts, track, sell, returns, unread, links, rights, holdings, audit,
                counters, days, figures, orders, health
    web/        HTTP calls: `routes` lists them; `calls/` has each handler with its body and answer; snippet, admin, demo, manual
    app         the start: from settings to services, to the application, to a worker
    ops/        the operator's commands: check, doctor, inspect, preview, papers, agents, failover, move, forget, backup, init,
                verify
    cli         the command line

Every call takes the same path. `server.protocol` reads it; `web.edge` limits its headers and logs it; `web.routing` finds its row;
`web.endpoint` checks key, limits and body in one of two `web.dialects`; a handler in `web.calls` calls a use case in `service`; and that
calls `store`. A click ends in `store/lua/record_event.lua`, and `service.counters` counts it.

A withdrawal: `web.visit` reads the choice through `signals.reader`, `model.policy` decides, `service.identify` withdraws,
`store.removals` reads what the visitor holds, and `store/lua/withdraw.lua` removes all of it and stores the receipt in one step. A refusal
that names nobody gets a receipt and removes nothing. `web.visit` and `web.cookies` clear the visitor's cookie and set the one that keeps
the refusal.

A look-up, an export or an erasure: `web.calls.links` names the person, `service.links` or `service.rights` finds or removes, and
`service.audit` enters who did so. Admin pages (`web/admin/`) call the same handlers, so they are entered, too.

An agent: `web.agents` takes what the call brings, and `signals.agents` recognises it. It gets no ID, and counts under its name.

The words:

    shop        a webshop with keys, origins and a policy      visitor    one ID of a person, who may have several
    mode        cookieless, persistent or null                 token      a signed visitor ID
    signal      one consent input: granted, refused, absent    consent    a stored grant
    receipt     the proof of a choice                          handle     a keyed digest of an email or a customer ID
    link        connects a handle and a visitor                proof      evidence that the visitor is the person's: key, token, none
    visit       what a call says about its visitor             known      a visit with what was looked up for it
    gone        the mark of a withdrawn or erased visitor      subject    the visitor of a tracking call; in the audit, a person's digest
    person      a handle or a visitor, as a call names one     holding    what is stored of one visitor, in numbers
    actor       who looked or acted: a key, or staff           role       what somebody of the staff may see
    agent       a program that acts for a person               channel    how an order came, if no person placed it
    counted     a visitor who said nothing, in figures only    sketch     the estimate of a day's distinct visitors, under its salt
    reference   a sealed value in an admin page's address      cause      why the store fails
"""
