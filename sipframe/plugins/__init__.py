"""Where plug-ins are found: a distribution ships ``sipframe/plugins/NAME.py``, and no ``__init__.py`` beside it.

``twisted.plugin`` looks through every directory of this name on ``sys.path``. Such a file is imported whenever somebody
asks what there is, so it names plug-ins (:mod:`sipframe.plugging`) and imports nothing that is not needed for that.
"""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__ = ()
