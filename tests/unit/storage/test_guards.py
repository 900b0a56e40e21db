"""Which check each table asks for, also where models inherit."""

from typing import Any

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from stockade.authorization import policy
from stockade.core import Exchange
from stockade.errors import UncheckedObjectError
from stockade.storage.sql.watching import Watch, guards_of


def allow(_principal: object, _instance: object) -> bool:
    """Let everybody through."""
    return True


class Base(DeclarativeBase):
    pass


class Authored:
    """Has rules and no table."""


policy(Authored, "read")(allow)


class Animal(Base):
    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012 - SQLAlchemy's spelling


class Dog(Animal):
    """In a table of its own, with the rules of animals."""

    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Cat(Animal):
    """In the table of animals, with a rule of its own."""

    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012


class Shark(Animal):
    """In a table of its own, with a rule of its own."""

    __tablename__ = "shark"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "shark"}  # noqa: RUF012


policy(Animal, "read")(allow)
policy(Cat, "read")(allow)
policy(Shark, "read")(allow)


class Letter(Authored, Base):
    __tablename__ = "letter"
    id: Mapped[int] = mapped_column(primary_key=True)


class Photo(Authored, Base):
    __tablename__ = "photo"
    id: Mapped[int] = mapped_column(primary_key=True)


class Plain(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)


GUARDS = guards_of(Base.registry.mappers)
TABLES = {table.name: table for table in Base.metadata.sorted_tables}


def test_each_table_asks_for_its_model() -> None:
    """Classes in one table ask for the uppermost; a mixin's rules ask for each model by itself."""
    named = {table.name: models for table, models in GUARDS.items()}
    assert named == {
        "animal": {Animal},
        "dog": {Animal},
        "shark": {Shark},
        "letter": {Letter},
        "photo": {Photo},
    }


@pytest.mark.parametrize(
    ("tables", "checked", "withheld"),
    [
        (["animal"], Animal, False),
        (["animal"], Cat, False),
        (["animal", "dog"], Dog, False),
        (["animal", "dog"], Animal, False),
        (["animal", "shark"], Shark, False),
        (["animal", "shark"], Animal, True),
        (["letter"], Letter, False),
        (["letter"], Photo, True),
        (["plain"], Letter, False),
    ],
)
def test_a_check_answers_for_its_model_and_those_above(
    tables: list[str], checked: type[Any], withheld: bool
) -> None:
    """A check of a subclass is one of its base; a check of a sibling is none."""
    exchange = Exchange(None, "r", "127.0.0.1", "http", 1)
    watch = Watch(GUARDS, exchange, refuses=True)
    watch.touch([TABLES[name] for name in tables], [])
    assert (exchange.withheld is not None) is (tables != ["plain"])
    watch.answer_for(checked)
    assert (exchange.withheld is not None) is withheld


def test_an_approval_belongs_to_one_object() -> None:
    """Objects are told apart by what they are, also after the first one is gone."""
    watch = Watch(GUARDS, Exchange(None, "r", "127.0.0.1", "http", 1), refuses=True)
    for number in range(100):
        watch.approve(Letter(id=number), "write")
        with pytest.raises(UncheckedObjectError):
            watch.require_approved(Letter(id=number))


@pytest.mark.parametrize("text", ["SELECT 1", " select * from letter"])
def test_text_touches_every_guarded_model(text: str) -> None:
    """Nobody reads SQL text, so that a read by it asks for a check of each model."""
    exchange = Exchange(None, "r", "127.0.0.1", "http", 1)
    watch = Watch(GUARDS, exchange, refuses=True)
    watch.touch_text(text)
    for model in (Shark, Letter):
        watch.answer_for(model)
        assert exchange.withheld is not None
    watch.answer_for(Photo)
    assert exchange.withheld is None


@pytest.mark.parametrize("text", ["DELETE FROM letter", "WITH x AS (DELETE FROM a) SELECT 1", ""])
def test_text_that_writes_is_refused_before_it_runs(text: str) -> None:
    """What is no plain SELECT may write, and needs the checks before."""
    watch = Watch(GUARDS, Exchange(None, "r", "127.0.0.1", "http", 1), refuses=True)
    with pytest.raises(UncheckedObjectError):
        watch.touch_text(text)
