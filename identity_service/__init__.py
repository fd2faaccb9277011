"""Visitor identity for webshops: the map of the code.

Rooms, each of which imports only from those above it:

    consent visitor link handle event attribution policy shop   what things are, without any I/O
    settings sections settings_file relations layers regions    what an operator writes, checked
    signals/    what banners, standards and browsers say, as signals
    store/      what is kept in Redis: keys, one Lua script a change (`lua/`), and the client
    service/    use cases: identify a visitor, grant, track, sell, return, link, prove, erase, report
    web/        calls: addresses, keys, bodies, cookies, answers, the snippet, `admin/`, `demo/`, `manual/`
    wiring app worker serving protocol                          how a process is put together and runs
    cli doctor move forget init                                 what an operator types

A click passes these: `protocol` reads the request, `web.middleware` bounds it and logs it, `web.routes` finds its row,
`web.tracking_endpoint` knows the key, the limits and the body, `web.tracking` reads the arguments, `service.subjects` says whom it is
about, `service.tracking` makes the event, `store.events` has it written by `store/lua/record_event.lua`, and `service.tally` counts it.

A withdrawal: `web.consents` reads the choice through `signals.statements`, `policy` decides, `service.visitors` withdraws,
`store.removals` reads what the visitor holds, and `store/lua/withdraw.lua` takes all of it with the receipt in one step.

A dozen words:

    shop        a webshop with keys, origins and a policy      visitor    whom an ID stands for; a person has several
    mode        cookieless, persistent or null                 token      a signed visitor ID
    signal      one word on consent: granted, refused, absent  consent    a stored grant
    receipt     the proof of a choice                          handle     a keyed digest of an email or a customer ID
    link        between a handle and a visitor                 proof      what shows that it is the person's: key, token or none
    gone        the mark of who has withdrawn or was erased    subject    whom a tracking call is about
"""
