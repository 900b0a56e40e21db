"""Name what the routes of tenants call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.authorization.arrivals import Arrivals
    from stockade.authorization.interfaces import TenantSwitch
    from stockade.authorization.invitations import Invitations
    from stockade.authorization.tenants import Tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantServices:
    """What the routes of tenants call.

    Args:
        tenants: Makes tenants and changes roles.
        invitations: Invites.
        arrivals: Lets in who was invited.
        switch: Changes the active tenant.
    """

    tenants: Tenants
    invitations: Invitations
    arrivals: Arrivals
    switch: TenantSwitch
