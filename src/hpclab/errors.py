"""The errors that are shown to users. Each has a problem and a remedy.

HpclabError                 the base class
├── UsageError              an invalid value; the message lists the valid ones
├── CommandFailed           a program failed; the message has the command and the end of its output
├── DeadlineExceeded        a wait took too long; the message says for what and how long
├── HostUnsuitable          this machine lacks a feature, file or setting
├── ClusterError            the embedded cluster is not in the required state
├── PackagesError           system packages could not be downloaded or unpacked
├── SiteError               a site profile is missing or invalid
├── ExerciseError           a lab's source is invalid; the message has file and line
├── GradingError            the settings, store or records of a course are invalid
├── BookError               the book cannot be built, or has faults
└── NotebookFailed          a notebook run failed
"""

from __future__ import annotations


class HpclabError(Exception):
    """The base class of errors that are shown to users.

    ``problem`` says what happened and where; ``remedy`` says what to do.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n{self.remedy}" if self.remedy else self.problem


class UsageError(HpclabError):
    """A value given by the user is invalid."""

    exit_code = 2


class CommandFailed(HpclabError):
    """A program is missing or ended with an exit status other than zero."""


class DeadlineExceeded(HpclabError):
    """A wait or a command took longer than its deadline."""


class HostUnsuitable(HpclabError):
    """This machine lacks a required feature, file or setting."""


class ClusterError(HpclabError):
    """The embedded cluster is not in the required state."""


class PackagesError(HpclabError):
    """System packages could not be downloaded, verified or unpacked."""


class SiteError(HpclabError):
    """A site profile is missing or invalid."""


class ExerciseError(HpclabError):
    """The source of a lab is invalid."""


class GradingError(HpclabError):
    """The settings, the store or the records of a course are invalid."""


class BookError(HpclabError):
    """The book cannot be built, or the built book has faults."""


class NotebookFailed(HpclabError):
    """A headless notebook run failed."""
