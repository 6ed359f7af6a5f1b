"""The report: one self-contained HTML page about one mapping or several."""

from factortopy.reporting.report import report

__all__ = ["report"]
