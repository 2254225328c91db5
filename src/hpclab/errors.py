"""Every error a person can meet, as one tree.

HpclabError                 what happened, and what to do next
├── UsageError              a value that cannot be: names the valid ones
├── CommandFailed           an outside program failed: the command and the end of its output
├── DeadlineExceeded        something awaited did not come: what, how long, the end of the log
├── HostUnsuitable          this machine lacks something: which setting, which file
├── ClusterError            the embedded cluster is not in the state asked for
├── PackagesError           system packages could not be fetched or unpacked
├── SiteError               a site profile is missing or malformed
├── ExerciseError           an exercise's source is malformed: file, line, cure
├── GradingError            a class's settings, store or records are not as they must be: file, place, cure
├── BookError               the book cannot be built, or has faults: page, cure
└── NotebookFailed          a notebook run ended badly: cell, error, log
"""

from __future__ import annotations


class HpclabError(Exception):
    """Base of all errors that are meant for a person.

    ``problem`` says what happened and where; ``remedy`` says what to try next.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n{self.remedy}" if self.remedy else self.problem


class UsageError(HpclabError):
    """A value that the person gave cannot be used."""

    exit_code = 2


class CommandFailed(HpclabError):
    """An outside program ended with a status other than zero."""


class DeadlineExceeded(HpclabError):
    """Something that was waited for did not come in time."""


class HostUnsuitable(HpclabError):
    """This machine lacks something that the work needs."""


class ClusterError(HpclabError):
    """The embedded cluster is not in the state that was asked for."""


class PackagesError(HpclabError):
    """System packages could not be fetched, checked or unpacked."""


class SiteError(HpclabError):
    """A site profile is missing or malformed."""


class ExerciseError(HpclabError):
    """The source of an exercise is malformed."""


class GradingError(HpclabError):
    """The settings, the store or the records of a class are not as they must be."""


class BookError(HpclabError):
    """The book cannot be built, or what was built has faults."""


class NotebookFailed(HpclabError):
    """A headless notebook run ended badly."""
