"""The application's declarative base, and the engine that is above tenants."""

from settings import settings
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase

from stockade.errors import ConfigurationError
from stockade.storage.sql import make_engine


class Base(DeclarativeBase):
    """Base of the application's models."""

    metadata = MetaData(
        naming_convention={
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def open_engine() -> AsyncEngine:
    """Open the database of the settings; nothing is isolated on it.

    Raises:
        ConfigurationError: The settings name none.
    """
    if settings.database_url is None:
        message = "the notes backend needs a database: set DATABASE_URL"
        raise ConfigurationError(message)
    return make_engine(settings.database_url.get_secret_value())


# For accounts and migrations. Whatever belongs to a company is read through a session that is bound
# to it: database/dependencies.py.
engine = open_engine()
