"""The book: pages and executed labs → staged sources → HTML, and checks of what came out.

Nothing is executed here: outputs come from stored runs, and whoever calls this hands the labs in
as notebooks. ``stage`` decides what the source tree holds, ``build`` runs Jupyter Book on it and
publishes the result whole, ``links`` and ``browser`` check it.
"""
