"""Where users are: the stock location stores behind :class:`sipframe.interfaces.ILocationStore`."""

from sipframe.location.errors import LocationError
from sipframe.location.memory import MemoryStore
from sipframe.location.sqlite import SQLiteStore
from sipframe.location.stored import stored

__all__ = ["LocationError", "MemoryStore", "SQLiteStore", "stored"]
