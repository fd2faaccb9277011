"""Visitor identity for webshops: the map of the code.

Packages and modules. Each imports only from those before it:

    errors      the errors of calls and of settings
    settings/   the operator's settings: schema, layers, and where each value was written
    model/      the nouns, without I/O but for the shipped regions: visitor, consent, policy, handle, link, event, shop, token, reference
    signals/    consent as banners, standards and browsers send it; `reader` is the entry point
    server/     the HTTP process: protocol, supervisor, limits, logs, metrics
    store/      stored data: keys, one Lua script per change (`lua/`), the client (`redis/`), the embedded server
    service/    use cases: visit, identify, grants, receipts, track, sell, returns, unread, links, rights, holdings,
                counters, reports, health
    web/        HTTP calls: `routes` lists them; `calls/` has each handler with its body and answer; snippet, admin, demo, manual
    app         the start: from settings to services, to the application, to a worker
    ops/        the operator's commands: check, doctor, inspect, preview, papers, move, forget, backup, init, verify
    cli         the command line

Every call takes the same path. `server.protocol` reads it; `web.edge` limits its headers and logs it; `web.routing` finds its row;
`web.endpoint` checks key, limits and body in one of two `web.dialects`; a handler in `web.calls` calls a use case in `service`; and that
calls `store`. A click ends in `store/lua/record_event.lua`, and `service.counters` counts it.

A withdrawal: `web.visit` reads the choice through `signals.reader`, `model.policy` decides, `service.identify` withdraws,
`store.removals` reads what the visitor holds, and `store/lua/withdraw.lua` removes all of it and stores the receipt in one step. A refusal
that names nobody gets a receipt and removes nothing. `web.visit` and `web.cookies` clear the visitor's cookie and set the one that keeps
the refusal.

The words:

    shop        a webshop with keys, origins and a policy      visitor    one ID of a person, who may have several
    mode        cookieless, persistent or null                 token      a signed visitor ID
    signal      one consent input: granted, refused, absent    consent    a stored grant
    receipt     the proof of a choice                          handle     a keyed digest of an email or a customer ID
    link        connects a handle and a visitor                proof      evidence that the visitor is the person's: key, token, none
    visit       what a call says about its visitor             known      a visit with what was looked up for it
    gone        the mark of a withdrawn or erased visitor      subject    the visitor of a tracking call
"""
