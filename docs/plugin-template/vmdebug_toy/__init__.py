"""A plug-in for vmdebug that knows an invented system.

    toydump    the format of its dumps        toyos    its kernel        toytasks    dcmd and walker

Each module stands alone, so that it can be loaded as a file, too.
"""
