"""Where users are: the stock location stores behind :class:`sipframe.interfaces.ILocationStore`."""

from sipframe.location.errors import LocationError, LocationOverloaded
from sipframe.location.memory import MemoryStore
from sipframe.location.sqlite import SQLiteStore
from sipframe.location.stored import stored

__all__ = ["LocationError", "LocationOverloaded", "MemoryStore", "SQLiteStore", "stored"]
