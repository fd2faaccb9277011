"""Reads signals from the consent members of a call, a banner's event, or a banner's cookies: what was said, by whom, and when.

State and events: a call to `/v1/visitors` sends state. It is remembered, unless it has a time. A post to `/v1/consents` was said now,
unless it says otherwise, or sends a banner's state (its cookies, or a TC string that was only loaded).

Times: a banner's own time counts if it is at most five minutes ahead of ours. Else the time of arrival counts, minus the age of a repeated
post. If a device sends its own time and the choice was said now, a banner's time does not count at all. If the choice is remembered, the
banner's time is also read corrected by the difference to ours. Of both, the earlier counts for a grant and the later for a refusal, because
the clock may have been set since. If a device sends no time, the clock may be slow, so a post within five minutes of its own time counts as
said now. A TC string only has a day. On that day it counts as said now if the user has just acted (`useractioncomplete`). Else a grant
counts from the start of the day, and a refusal from its end, so that a replay neither renews a grant nor overrides a later withdrawal.

Google consent mode: `analytics_storage` decides; the `ad_*` types never grant an ID
(developers.google.com/tag-platform/security/guides/consent). Only the state of an *update* is a person's choice. A sender must not post a
`default`.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from msgspec.structs import replace

from identity_service.model.consent import CONVEYED_SOURCES, Choice, Millis, Purpose, Signal, purposes_choice
from identity_service.model.shop import SignalRules
from identity_service.model.utc import DAY
from identity_service.signals.answers import banner_context, json_object
from identity_service.signals.banners import BANNERS, WITH_COOKIES, BannerReading, read_cookies, read_event, standards_spoken, tc_string_of
from identity_service.signals.gpp import read_gpp, us_privacy_opt_out
from identity_service.signals.tcf import TcChoice, canadian_choice, tc_choice
from identity_service.signals.ucp import ucp_statement

_CHOICES = {"granted": Choice.GRANTED, "denied": Choice.REFUSED}
SOURCES = ("tcf", "gpp", "google", *sorted(BANNERS))
"""The sources of `/v1/consents/{source}`."""
MOST_ASKEW = 5 * 60 * 1000
"""Tolerance in milliseconds between a sender's clock and ours. A time further ahead is replaced by the time of arrival, and so is that of a
choice said within it."""
DAY_MS = DAY * 1000
LONGEST_AGE = 30 * DAY_MS
"""Maximal age of a repeated post, in milliseconds. An older refusal counts as being that old; an older grant does not count."""
MOST_US_PRIVACY = 1_024
TC_COOKIE, US_PRIVACY_COOKIE = "euconsent-v2", "usprivacy"
COOKIE_SOURCES = frozenset({"tcf", "us_privacy", *WITH_COOKIES})


def google_choice(state: Mapping[str, object]) -> Choice | None:
    value = state.get("analytics_storage")
    return _CHOICES.get(value) if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a statement arrived. `posted`: to `/v1/consents`, as an event; else it is state. `live`: the visitor's device calls. `said`:
    `now` or `remembered` if the sender says so. `age`: milliseconds since it was said, or heard if it is remembered, for a repeated post.
    `clock`: the sender's own time of the post."""

    posted: bool = True
    live: bool = False
    said: str | None = None
    age: int | None = None
    clock: int | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads statements for one shop at one moment. `cookies`: those of the same request."""

    rules: SignalRules
    now: Millis
    cookies: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery()

    def of_word(self, word: str) -> tuple[Signal, ...]:
        """One signal for `granted` or `refused`, none for `unknown`."""
        if word not in {"granted", "refused"}:
            return ()
        at, dated = self._moment(None)
        return (self._as_received(Signal("plain", Choice(word), at, raw_digest=_digest(word), dated=dated)),)

    def of_object(self, consent: Mapping[str, object], decided_at: Millis | None) -> tuple[Signal, ...]:
        """One signal for each kind of statement in `consent`."""
        at, dated = self._moment(decided_at)
        version = consent.get("policy_version")
        found = []
        if isinstance(purposes := consent.get("purposes"), Mapping) and purposes:
            choices = {Purpose(name): Choice(value) for name, value in purposes.items()}
            linking, named = choices.get(Purpose.LINKING), tuple(choices.items())
            found.append(Signal("plain", purposes_choice(choices), at, linking, _digest(purposes), dated=dated, purposes=named))
        for source in ("google", "tcf", "gpp"):
            if isinstance(member := consent.get(source), Mapping) and member:
                found += self._without_contradicted_grants(source, self._standard(source, member, decided_at))
        if isinstance(text := consent.get("us_privacy"), str):
            found += self._us_privacy(text)
        versioned = [replace(one, policy_version=version) for one in found] if isinstance(version, str) else found
        if isinstance(told := consent.get("banner"), Mapping):
            own = banner_context(told.get("version"), told.get("language"), told.get("method"))
            versioned = [replace(one, banner=own or one.banner) for one in versioned]
        return tuple(map(self._as_received, versioned))

    def of_event(self, source: str, event: Mapping[str, object]) -> tuple[tuple[Signal, ...], str | None]:
        """Reads a banner's event, or its cookies as members. Returns its signals, and the visitor named by a server's webhook. A grant
        does not count if the rest of the event or the banner's cookie contradicts it, or if a webhook has no time: a later choice may
        exist."""
        if source in CONVEYED_SOURCES:
            state = dataclasses.replace(self.delivery, said="remembered")
            return dataclasses.replace(self, delivery=state).of_banner(source, ucp_statement(event))
        return self.of_banner(source, event)

    def of_banner(self, source: str, event: Mapping[str, object]) -> tuple[tuple[Signal, ...], str | None]:
        """The same, for a source that speaks for the person itself."""
        if source not in BANNERS:
            return tuple(map(self._as_received, self._without_contradicted_grants(source, self._standard(source, event, None)))), None
        reading = read_event(source, event, self.rules.categories.get(source))
        spoken = self._of_standards(source, event)
        if reading is None:
            return tuple(map(self._as_received, self._without_contradicted_grants(source, spoken))), None
        stored = reading.stored and self.delivery.said != "now"
        own, *spoken = self._without_contradicted_grants(
            source, [replace(self._of_reading(source, reading, event), remembered=stored), *spoken]
        )
        if reading.visitor and not own.dated and own.choice is Choice.GRANTED:
            own = replace(own, choice=None)
        heard = self._of_notice(own) if reading.visitor else self._as_received(own)  # a webhook's clock is a server's
        return (heard, *map(self._as_received, spoken)), reading.visitor

    def of_cookies(self) -> tuple[Signal, ...]:
        """Signals in the cookies of the banners that the shop has set to be read on every call."""
        found = [signal for source in self.rules.cookies for signal in self._cookie(source)]
        return tuple(self._of_notice(replace(signal, remembered=True, of_cookie=True)) for signal in found)

    def _cookie(self, source: str) -> tuple[Signal, ...]:
        if source == "tcf":
            text = self.cookies.get(TC_COOKIE)
            return self._tcf({"tc_string": text, "event_status": "tcloaded"}, None) if text else ()
        if source == "us_privacy":
            return self._us_privacy(_us_privacy_text(self.cookies.get(US_PRIVACY_COOKIE, "")))
        reading = read_cookies(source, self.cookies, self.rules.categories.get(source))
        own = [self._of_reading(source, reading, {})] if reading else []
        return (*own, *self._of_standards(source, self.cookies))

    def _of_standards(self, source: str, members: Mapping[str, object]) -> list[Signal]:
        """Signals of standards that the banner uses, under the banner's name."""
        found = [one for standard in standards_spoken(source) for one in self._standard(standard, members, None)]
        if text := tc_string_of(source, members):
            found += self._tcf({"tc_string": text, "event_status": "tcloaded"}, None)
        return [replace(one, source=source) for one in found]

    def _standard(self, source: str, member: Mapping[str, object], decided_at: Millis | None) -> tuple[Signal, ...]:
        if source == "tcf":
            return self._tcf(member, decided_at)
        if source == "gpp":
            return self._gpp(member)
        state = member.get("state", member)
        if member.get("action", "update") != "update" or not isinstance(state, Mapping):
            return ()
        choice = google_choice(state)
        at, dated = self._moment(decided_at, choice)
        return (Signal("google", choice, at, raw_digest=_digest(state), dated=dated),)

    def _tcf(self, member: Mapping[str, object], decided_at: Millis | None) -> tuple[Signal, ...]:
        text = _first(member, "tc_string", "tcString", TC_COOKIE)
        status = _first(member, "event_status", "eventStatus")
        if not isinstance(text, str) or status not in (None, "tcloaded", "useractioncomplete"):
            return ()
        if _first(member, "gdpr_applies", "gdprApplies") is False:
            return ()
        choice = tc_choice(text, self.rules.tcf, self.now)
        decided_at = None if status == "tcloaded" else decided_at
        loaded = not (status == "useractioncomplete" and TC_COOKIE not in member and self._is_event)
        if choice is None:
            return ()
        found = self._of_tc("tcf", text, choice, decided_at, loaded=loaded)
        return (replace(found, banner=replace(choice.banner, method=status)) if choice.banner and isinstance(status, str) else found,)

    def _gpp(self, member: Mapping[str, object]) -> tuple[Signal, ...]:
        ping = member.get("pingData", member)
        if not isinstance(ping, Mapping) or _first(ping, "signal_status", "signalStatus") not in (None, "ready"):
            return ()
        text, sections = _first(ping, "gpp_string", "gppString"), _first(ping, "applicable_sections", "applicableSections")
        applicable = None if sections is None else frozenset(map(_section_id, sections if isinstance(sections, list) else []))
        reading = read_gpp(text, applicable) if isinstance(text, str) else None
        if reading is None or not isinstance(text, str):
            return ()
        opted_out = reading.sale_share_opt_out is True
        at, dated = self._moment(None)
        european = tc_choice(reading.tc_string, self.rules.tcf, self.now) if reading.tc_string else None
        canadian = canadian_choice(reading.canadian, self.rules.tcf, self.now) if reading.canadian else None
        found = [self._of_tc("gpp", text, choice, None, loaded=True) for choice in (european, canadian) if choice]
        if opted_out or not found:  # the day of a TC string is not that of the opt-out
            found.append(Signal("gpp", None, at, raw_digest=_digest(text), sale_share_opt_out=opted_out, dated=dated))
        return tuple(found)

    def _us_privacy(self, text: str) -> tuple[Signal, ...]:
        opted_out = us_privacy_opt_out(text)
        if opted_out is None:
            return ()
        at, dated = self._moment(None)
        return (Signal("us_privacy", None, at, raw_digest=_digest(text), sale_share_opt_out=opted_out, dated=dated),)

    def _of_tc(self, source: str, text: str, choice: TcChoice, decided_at: Millis | None, *, loaded: bool) -> Signal:
        day, told = choice.day, decided_at is not None and decided_at // DAY_MS * DAY_MS == choice.day
        of_the_day = choice.choice is Choice.GRANTED and not told and loaded
        if told and decided_at is not None:
            at, dated = self._moment(decided_at, choice.choice)
        elif choice.choice is Choice.GRANTED and (loaded or day + DAY_MS <= self.now):
            at, dated = Millis(min(day, self.now)), True
        elif self.delivery.age is not None:
            at, dated = self._moment(None)
        else:
            dated = day + DAY_MS <= self.now
            at = Millis(day + DAY_MS - 1) if dated else self.now
        version = f"{choice.framework}-{choice.policy_version}"
        return Signal(source, choice.choice, at, None, _digest(text), version, dated=dated, remembered=of_the_day, banner=choice.banner)

    def _of_reading(self, source: str, reading: BannerReading, event: Mapping[str, object]) -> Signal:
        """A grant does not count after the time at which the banner asks again."""
        at, dated = self._moment(reading.decided_at, reading.choice)
        opted_out = reading.sale_share_opt_out is True
        ended = reading.ends_at is not None and reading.ends_at <= self.now and reading.choice is Choice.GRANTED
        choice, digest = None if ended else reading.choice, _digest(dict(event))
        return Signal(source, choice, at, None, digest, reading.policy_version, opted_out, dated, banner=reading.banner)

    def _without_contradicted_grants(self, source: str, signals: Sequence[Signal]) -> list[Signal]:
        """The signals of one event, without grants if one of them, or the banner's cookie, is a refusal."""
        refused = any(one.choice is Choice.REFUSED for one in (*signals, *self._cookie(source)))
        return [replace(one, choice=None) if refused and one.choice is Choice.GRANTED else one for one in signals]

    @property
    def _is_event(self) -> bool:
        return self.delivery.posted and self.delivery.said != "remembered"

    def _as_received(self, signal: Signal) -> Signal:
        """Marks a signal as remembered if it was not said with this call. Dates it to now if only its sender's clock puts it a few
        minutes ago. That includes a device's refusal as state, which would otherwise be older than an undated grant of a minute ago."""
        if not self._is_event or self.delivery.said == "now":
            signal = replace(signal, remembered=signal.remembered or not self._is_event, told_now=self.delivery.said == "now")
        if signal.choice is Choice.GRANTED and (self.delivery.age or 0) > LONGEST_AGE:
            signal = replace(signal, choice=None)
        if signal.remembered and signal.choice is Choice.GRANTED and self.delivery.age is not None and signal.decided_at == self._said_at:
            signal = replace(signal, dated=False)  # its age tells only when a page heard it
        refuses = signal.choice is Choice.REFUSED or (signal.choice is None and signal.linking is Choice.REFUSED)
        lately = signal.dated and self.delivery.age is None and self.now - MOST_ASKEW <= signal.decided_at
        if lately and (not signal.remembered or (self.delivery.live and refuses)):
            signal = replace(signal, decided_at=self.now, dated=False)
        return self._of_notice(signal)

    def _of_notice(self, signal: Signal) -> Signal:
        """A grant said now belongs to the text that the shop shows now, unless it names another. A remembered or late grant counts only
        if it was given to that text."""
        notice = self.rules.notice_at(self.now)
        if notice is None or signal.choice is not Choice.GRANTED:
            return signal
        before = notice.since is not None and signal.decided_at <= notice.since
        if self._is_event and not signal.remembered and self.now - MOST_ASKEW <= signal.decided_at and not before:
            return signal if signal.policy_version else replace(signal, policy_version=notice.name)
        covered = notice.covers(signal.policy_version, signal.decided_at if signal.dated else Millis(0))
        return signal if covered else replace(signal, choice=None)

    def _moment(self, decided_at: Millis | None, choice: Choice | None = None) -> tuple[Millis, bool]:
        """The time that counts, and whether the sender sent it. Of a time and an age, the older one counts, because a clock may be
        ahead."""
        if self.delivery.clock is not None and self.delivery.said == "now":
            decided_at = None
        if decided_at is not None and self.delivery.clock is not None:
            corrected = Millis(decided_at + self.now - self.delivery.clock)
            decided_at = max(decided_at, min(corrected, self.now)) if choice is Choice.REFUSED else min(decided_at, corrected)
        if decided_at is not None and decided_at <= self.now + MOST_ASKEW:
            return min(decided_at, self._said_at), True
        return self._said_at, self.delivery.age is not None

    @property
    def _said_at(self) -> Millis:
        return Millis(self.now - min(self.delivery.age or 0, LONGEST_AGE))


def _section_id(told: object) -> int:
    """Some senders write numbers as text, or 7.0. Returns 0, which is no section, for anything else."""
    if isinstance(told, str):
        return int(told) if re.fullmatch(r"[0-9]{1,3}", told) else 0
    return int(told) if isinstance(told, int) or (isinstance(told, float) and told.is_integer()) else 0


def _us_privacy_text(cookie: str) -> str:
    """The string of the cookie. Iubenda writes it as `uspString` in percent-encoded JSON."""
    if len(cookie) == 4 or len(cookie) > MOST_US_PRIVACY:
        return cookie
    found = json_object(unquote(cookie)).get("uspString")
    return found if isinstance(found, str) else ""


def _first(member: Mapping[str, object], *names: str) -> object:
    return next((member[name] for name in names if member.get(name) is not None), None)


def _digest(raw: object) -> str:
    """SHA-256 of a string as sent; of anything else, as JSON with sorted members and no spaces."""
    text = raw if isinstance(raw, str) else json.dumps(raw, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
