"""Seal what has to be read again with the newest secret key: ``stockade keys reseal``."""

from __future__ import annotations

from stockade.cli.loops import run
from stockade.cli.output import make_console
from stockade.errors import ConfigurationError


def reseal() -> None:
    """Seal the secrets of authenticator apps with the newest key, before an older one goes."""
    resealed, lost = run(_reseal())
    console = make_console()
    console.print(f"{resealed} sealed with the newest key.")
    if lost:
        console.print(f"{lost} can't be opened with any of the keys, and stay as they are.")


async def _reseal() -> tuple[int, int]:
    from stockade.authentication.factors import make_sealer
    from stockade.crypto import KeyRing
    from stockade.settings import Settings
    from stockade.storage.sql import check_schema, make_engine
    from stockade.storage.sql.factors import reseal_totp

    settings = Settings()
    if settings.database_url is None or not settings.secret_keys:
        message = "set STOCKADE_DATABASE_URL and STOCKADE_SECRET_KEYS, as the application has them"
        raise ConfigurationError(message)
    keys = KeyRing([secret.get_secret_value() for secret in settings.secret_keys])
    engine = make_engine(settings.database_url.get_secret_value())
    try:
        await check_schema(engine)
        return await reseal_totp(engine, make_sealer(keys))
    finally:
        await engine.dispose()
