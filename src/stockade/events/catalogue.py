"""List every event that Stockade can record, with its severity and meaning."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class EventKind:
    """What an event name stands for.

    Args:
        name: Stable name, ``<layer>.<what happened>``.
        level: Severity, as a `logging` level.
        description: One sentence for the reference.
    """

    name: str
    level: int
    description: str


_KINDS = (
    EventKind(
        "application.started", logging.INFO, "Every layer proved itself and the application serves."
    ),
    EventKind(
        "application.start_failed", logging.CRITICAL, "A layer is not in force; nothing is served."
    ),
    EventKind(
        "gate.undecided",
        logging.CRITICAL,
        "A response was about to leave that no gate decided on, or a success after a refusal.",
    ),
    EventKind(
        "gate.unbound_route",
        logging.CRITICAL,
        "A route that is not bound was called; it was refused before it ran.",
    ),
    EventKind(
        "gate.no_policy", logging.WARNING, "A route without any policy was called; it is closed."
    ),
    EventKind(
        "gate.routes_changed",
        logging.INFO,
        "Routes were added or removed after the start and bound anew.",
    ),
    EventKind(
        "gate.rebind_failed",
        logging.CRITICAL,
        "Routes changed to something that can't be protected; requests are refused.",
    ),
    EventKind("authentication.login_succeeded", logging.INFO, "Somebody signed in."),
    EventKind(
        "authentication.login_failed",
        logging.WARNING,
        "A sign-in was refused; the reason code says why.",
    ),
    EventKind(
        "authentication.api_key_changed", logging.INFO, "A key of a program was made or ended."
    ),
    EventKind(
        "authentication.factor_required",
        logging.INFO,
        "A first factor was right, and the second one is asked for.",
    ),
    EventKind(
        "authentication.factor_failed",
        logging.WARNING,
        "A code of a second factor was refused; the reason code says why.",
    ),
    EventKind(
        "authentication.passkey_cloned",
        logging.ERROR,
        "A passkey has counted back: there is a copy of it, and one of the two was refused.",
    ),
    EventKind(
        "authentication.factor_changed",
        logging.WARNING,
        "A second factor was turned on or removed, or its recovery codes were renewed.",
    ),
    EventKind(
        "authentication.new_device",
        logging.WARNING,
        "Somebody signed in from a device that the account was not seen with before.",
    ),
    EventKind(
        "authentication.stepped_up",
        logging.INFO,
        "A caller gave a second factor in a session that goes on.",
    ),
    EventKind("authentication.account_changed", logging.INFO, "An account was made or changed."),
    EventKind("authentication.password_changed", logging.INFO, "An account has a new password."),
    EventKind(
        "authentication.reset_asked", logging.INFO, "Somebody asked for a link for a new password."
    ),
    EventKind(
        "authentication.registration_asked",
        logging.INFO,
        "Somebody asked for a link for a new account.",
    ),
    EventKind(
        "authentication.errand_failed",
        logging.ERROR,
        "What a request had asked for could not be done after its answer, such as to send a mail.",
    ),
    EventKind(
        "authentication.api_key_leaked",
        logging.ERROR,
        "A scanner found a key of a program where everybody can read it; the key has ended.",
    ),
    EventKind(
        "authentication.token_inactive",
        logging.INFO,
        "A service asked about a token that does not hold, or is not its business.",
    ),
    EventKind(
        "authentication.identity_changed",
        logging.INFO,
        "An identity at a provider was linked to an account, or taken off it.",
    ),
    EventKind("authentication.session_ended", logging.INFO, "A session was ended by its owner."),
    EventKind(
        "authentication.refresh_reused",
        logging.ERROR,
        "A refresh token was used again long after it was exchanged; its session was ended.",
    ),
    EventKind(
        "authentication.issuer_failed",
        logging.ERROR,
        "An outside issuer does not answer with its keys; those that are known go on for a while.",
    ),
    EventKind("authentication.issuer_recovered", logging.INFO, "An outside issuer answers again."),
    EventKind(
        "authentication.breach_check_failed",
        logging.ERROR,
        "New passwords can't be looked up in stolen data; the failure policy applies.",
    ),
    EventKind(
        "authentication.breach_check_recovered",
        logging.INFO,
        "New passwords are looked up in stolen data again.",
    ),
    EventKind("authentication.refused", logging.WARNING, "A request had no credentials that hold."),
    EventKind(
        "authorization.refused",
        logging.WARNING,
        "A known caller lacks a role, a permission or a fresh sign-in.",
    ),
    EventKind(
        "authorization.object_unchecked",
        logging.ERROR,
        "A handler used guarded objects without a check; its answer or its write was refused.",
    ),
    EventKind(
        "authorization.engine_failed",
        logging.ERROR,
        "A policy engine could not evaluate its policies for a request; the answer was no.",
    ),
    EventKind(
        "authorization.policies_reloaded",
        logging.WARNING,
        "A policy engine has read its policies anew.",
    ),
    EventKind(
        "authorization.policies_refused",
        logging.ERROR,
        "New policies of an engine are broken; those that were in force stay so.",
    ),
    EventKind(
        "authorization.impersonated",
        logging.WARNING,
        "A super administrator began to act as another account.",
    ),
    EventKind(
        "authorization.membership_changed",
        logging.INFO,
        "A tenant was made, or somebody joined, left, switched or got another role.",
    ),
    EventKind(
        "tenancy.refused",
        logging.WARNING,
        "A statement or an object would have crossed a tenant's line.",
    ),
    EventKind(
        "tenancy.crossed", logging.WARNING, "A super administrator began to work in a tenant."
    ),
    EventKind(
        "tenancy.raw_sql",
        logging.WARNING,
        "A block of unsafe_raw() has let SQL text into a tenant's session.",
    ),
    EventKind("rate_limiting.refused", logging.WARNING, "A limit is used up."),
    EventKind(
        "rate_limiting.would_refuse",
        logging.WARNING,
        "A limit is used up, and limits only count by setting.",
    ),
    EventKind(
        "rate_limiting.rule_failed",
        logging.ERROR,
        "A function of the application that a limit asks has failed; nobody became free by it.",
    ),
    EventKind(
        "rate_limiting.bucket_unreadable",
        logging.ERROR,
        "The store of the limits holds something else where a bucket should be.",
    ),
    EventKind(
        "rate_limiting.store_failed",
        logging.ERROR,
        "The store of the limits is away; the failure policy applies.",
    ),
    EventKind(
        "rate_limiting.store_recovered", logging.INFO, "The store of the limits answers again."
    ),
    EventKind(
        "rate_limiting.ban_started",
        logging.WARNING,
        "An address or a caller was refused again and again and is banned for a while.",
    ),
    EventKind("rate_limiting.ban_lifted", logging.WARNING, "Somebody ended a ban."),
    EventKind(
        "rate_limiting.refusals_lost",
        logging.ERROR,
        "Who was refused can't be kept for `stockade limits`; what is refused stays the same.",
    ),
    EventKind("rate_limiting.refusals_kept", logging.INFO, "Who was refused is kept again."),
    EventKind("validation.refused", logging.INFO, "A request did not fit its schema."),
    EventKind(
        "validation.body_too_large",
        logging.WARNING,
        "A request body was larger than its endpoint takes.",
    ),
    EventKind("web.host_refused", logging.WARNING, "The Host header is not on the allow-list."),
    EventKind(
        "web.request_refused", logging.WARNING, "An endpoint or dependency refused the request."
    ),
    EventKind("web.server_error", logging.ERROR, "A handler raised an error nobody expected."),
    EventKind(
        "api_docs.refused",
        logging.WARNING,
        "Somebody asked for the API documentation without credentials that hold.",
    ),
)

EVENTS: Final[Mapping[str, EventKind]] = MappingProxyType({kind.name: kind for kind in _KINDS})


def event_name_for(reason: str) -> str:
    """Name the event of a refusal's reason code: its own, or the refusal of the layer it names."""
    if reason in EVENTS:
        return reason
    name = reason.partition(".")[0] + ".refused"
    return name if name in EVENTS else "web.request_refused"
