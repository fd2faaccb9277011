"""The agent that makes a call, or of which a shop's server tells: by a signature, the server's own verdict, or the user agent.

`signals.agents` recognises user agents and checks signatures. Here is what a call brings of them.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from identity_service.errors import ConsentRequired
from identity_service.model.agent import AGENT_NAME, UNKNOWN, Agent, KnownBy
from identity_service.signals.agents import SIGNATURE_HEADERS, agent_of, is_signed
from identity_service.signals.browser import is_robot
from identity_service.signals.message_signature import SignedMessage
from identity_service.web.call import Call
from identity_service.web.payloads import YES


def agent_calling(call: Call) -> Agent | None:
    """The agent that makes a device's call."""
    user_agent = call.headers.get("user-agent")
    if not is_signed(call.headers):
        return agent_of(user_agent)
    target = call.target and call.services.agents.removed_prefix + call.target
    message = SignedMessage(_authority(call.headers.get("host")), call.method, target or None, call.headers)
    return _agent_of_message(call, message, user_agent)


def agent_told(call: Call, told: object, user_agent: str | None) -> Agent | None:
    """The agent of the request that a shop's server describes: by its own verdict, or by the headers that it passes on. What cannot be
    read is an agent that nobody has verified, rather than a person."""
    if not isinstance(told, Mapping):
        return _with_name(Agent(), user_agent)
    texts = {name: text for name, text in told.items() if isinstance(text, str) and text}
    headers = {name: texts[own] for name in SIGNATURE_HEADERS if (own := name.replace("-", "_")) in texts}
    if told.get("verified") in YES and not headers:
        name = texts.get("name", "").lower()
        return Agent(name if AGENT_NAME.fullmatch(name) else UNKNOWN, KnownBy.EDGE)
    if "name" in texts or (headers and not is_signed(headers)):
        return _with_name(Agent(), user_agent)
    if not headers:
        return agent_of(user_agent)
    message = SignedMessage(_authority(texts.get("authority")), texts.get("method"), texts.get("target"), headers)
    return _agent_of_message(call, message, user_agent)


def refuse_agent(call: Call) -> None:
    """Raises ConsentRequired for an agent's call, whatever token it brings. Not to be asked for a server's call."""
    if agent_calling(call):
        raise ConsentRequired("An agent links nobody. Link with a private key once the person has said so.")


def _agent_of_message(call: Call, message: SignedMessage, user_agent: str | None) -> Agent | None:
    judged = call.services.agents.judge(message, call.shop.hosts, call.now / 1000, call.key if call.private else "")
    return _with_name(judged, user_agent)


def _with_name(judged: Agent, user_agent: str | None) -> Agent | None:
    """Only a verified signature gives an agent its name; else its user agent does. A robot that signs stays a robot, unless its directory
    is one of the settings."""
    if judged.known_by is KnownBy.VERIFIED:
        return judged
    named = agent_of(user_agent)
    if named:
        return replace(named, known_by=judged.known_by)
    return None if is_robot(user_agent) else judged


def _authority(host: str | None) -> str | None:
    """As it is signed: in small letters, without the port of HTTPS."""
    return host.strip().lower().removesuffix(":443") if host else None
