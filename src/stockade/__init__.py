"""Put defence in depth around FastAPI, Pydantic and SQLAlchemy backends."""

__version__ = "0.1.0"
