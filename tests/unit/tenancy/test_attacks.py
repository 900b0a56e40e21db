"""Run every attack on SQLite; the integration tests run the same table on PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import SQLAlchemyError

from stockade.tenancy import TenancyError
from tests.unit.tenancy.attacks import ATTACKS, Attack
from tests.unit.tenancy.conftest import Database
from tests.unit.tenancy.models import OWN, foreign_state

# SQLite's grammar has neither LATERAL nor named columns of VALUES.
NOT_IN_SQLITE = {
    f"{way}_{what}" for way in ("query", "connection") for what in ("lateral", "values_join")
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attack: Attack, database: Database) -> None:
    """The attack ends as the table says, and the other tenant's rows are as they were."""
    before = database.look(foreign_state)
    with database.factory(OWN) as session:
        ending, reason = "filtered", None
        try:
            seen = attack.run(session, database.ids)
            assert "foreign" not in repr(seen)
            session.commit()
        except TenancyError as error:
            ending = "refused"
            reason = error.reason
            # Whoever swallows the refusal may commit what went before; a flush was rolled back.
            if session.is_active:
                session.commit()
        except SQLAlchemyError:
            ending = "error"
            session.rollback()
    assert ending == ("error" if attack.name in NOT_IN_SQLITE else attack.ending)
    assert database.look(foreign_state) == before
    events = database.sink.named("tenancy.refused")
    assert (events[-1].reason if events else None) == reason


def test_names_are_unique() -> None:
    """No attack hides another of the same name."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
