"""The book: pages and executed labs → staged sources → HTML, and checks of the result.

Nothing is executed here: the caller passes the labs as notebooks with outputs of stored runs. ``stage`` collects
the source tree, ``build`` runs Jupyter Book on it and publishes the result atomically, ``links`` and ``browser``
check it.
"""
