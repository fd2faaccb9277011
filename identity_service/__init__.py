"""Visitor identity for webshops: the map of the code.

Rooms, each of which imports only from those above it:

    errors      every refusal
    settings/   what an operator writes: schema, layers, where each value comes from
    model/      what things are, without any I/O: visitor, consent, policy, handle, link, event, shop, token
    signals/    what banners, standards and browsers say about consent; `reader` is the way in
    server/     the process that answers: protocol, supervisor, limits, logs, metrics
    store/      what is kept: keys, one Lua script a change (`lua/`), the client (`redis/`), the embedded server
    service/    use cases: visit, identify, grants, receipts, track, sell, returns, links, rights, counters, reports, health
    web/        calls: `routes` lists them, `calls/` holds handlers beside bodies and answers; the snippet, admin, demo, manual
    app         the whole start: from settings to services, to the application, to a worker
    ops/        what an operator runs: check, doctor, inspect, move, forget, backup, init
    cli         what an operator types

The way of every call: `server.protocol` reads it, `web.edge` bounds it and logs it, `web.routes` finds its row, `web.endpoint` knows key,
limits and body in one of two `web.dialects`, a handler in `web.calls` asks a use case in `service`, and that asks `store`. A click ends in
`store/lua/record_event.lua`. `service.counters` counts it.

A withdrawal: `web.calls.visitors` hears the choice through `signals.reader`, `model.policy` decides, `service.identify` withdraws,
`store.removals` reads what the visitor holds, and `store/lua/withdraw.lua` takes all of it with the receipt in one step.

A dozen words:

    shop        a webshop with keys, origins and a policy      visitor    whom an ID stands for; a person has several
    mode        cookieless, persistent or null                 token      a signed visitor ID
    signal      one word on consent: granted, refused, absent  consent    a stored grant
    receipt     the proof of a choice                          handle     a keyed digest of an email or a customer ID
    link        between a handle and a visitor                 proof      what shows that it is the person's: key, token or none
    visit       what a call says of its visitor                known      a visit with what was looked up for it
    gone        the mark of who has withdrawn or was erased    subject    whom a tracking call is about
"""
