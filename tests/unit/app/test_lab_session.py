"""A learner's session, with the cluster and JupyterLab replaced; tests/cluster/test_learner.py has the real one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from hpclab.app import clusters, lab_session
from hpclab.cli import lab, main
from hpclab.cluster import lifecycle, portal
from hpclab.errors import CommandFailed


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was stopped, in order."""
    stopped: list[str] = []
    monkeypatch.setattr(clusters, "compose_default", lambda name: name)
    monkeypatch.setattr(clusters, "submit_settings", lambda _: [])
    monkeypatch.setattr(lab_session, "hand_out_notebooks", lambda _: "a.ipynb holds your work.")
    monkeypatch.setattr(portal, "known", lambda _: None)
    monkeypatch.setattr(portal, "choose_port", lambda _: 8888)
    monkeypatch.setattr(portal, "serve", lambda *_: SimpleNamespace(url="http://x"))
    monkeypatch.setattr(portal, "close", lambda name: stopped.append(f"JupyterLab of {name}"))
    monkeypatch.setattr(lifecycle, "jobs_in_queue", lambda _: 2)
    monkeypatch.setattr(lifecycle, "down", lambda name, *_, **__: stopped.append(f"cluster {name}"))
    return stopped


def start_clusters(monkeypatch: pytest.MonkeyPatch, *, started: bool) -> None:
    monkeypatch.setattr(clusters, "start", lambda *_: started)


def interrupt(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


def ended(*_: object) -> None:
    """The cluster has ended."""


@pytest.mark.parametrize(
    ("started", "stopped", "text"),
    [
        (True, ["cluster a"], "2 jobs in the queue will be cancelled.\nStopped."),
        (False, ["JupyterLab of a"], "JupyterLab is stopped. The cluster was running before"),
    ],
)
@pytest.mark.parametrize("where", ["in the browser", "while waiting"])
def test_ctrl_c_stops_what_the_command_started(
    monkeypatch: pytest.MonkeyPatch,
    events: list[str],
    started: bool,
    stopped: list[str],
    text: str,
    where: str,
) -> None:
    start_clusters(monkeypatch, started=started)
    in_browser = where == "in the browser"
    monkeypatch.setattr(lab.webbrowser, "open", interrupt if in_browser else ended)
    wait: Callable[..., None] = (
        (lambda _: pytest.fail("the browser did not return")) if in_browser else interrupt
    )
    monkeypatch.setattr(lab_session, "wait", wait)
    done = CliRunner().invoke(main, ["lab", "--open", "--name", "a"])
    assert done.exit_code == 0, done.output
    assert "http://x" in done.output and "a.ipynb holds your work." in done.output
    assert text in done.output
    assert events == stopped


def test_a_cluster_that_ends_ends_the_command(monkeypatch: pytest.MonkeyPatch, events: list[str]) -> None:
    start_clusters(monkeypatch, started=True)
    monkeypatch.setattr(lab_session, "wait", ended)
    done = CliRunner().invoke(main, ["lab", "--no-open", "--name", "a"])
    assert done.exit_code == 0 and "stopped by another command" in done.output
    assert events == []


def test_detached_it_goes_on(monkeypatch: pytest.MonkeyPatch, events: list[str]) -> None:
    start_clusters(monkeypatch, started=True)
    monkeypatch.setattr(lab_session, "wait", interrupt)
    done = CliRunner().invoke(main, ["lab", "--no-open", "--detach", "--name", "a"])
    assert done.exit_code == 0 and "Stop it: hpclab down --name a" in done.output
    assert events == []


@pytest.mark.parametrize(("started", "stopped"), [(True, ["cluster a"]), (False, [])])
def test_a_failed_start_leaves_no_cluster_behind(
    monkeypatch: pytest.MonkeyPatch, events: list[str], started: bool, stopped: list[str]
) -> None:
    def fail(_name: str) -> str:
        raise CommandFailed("preparing the notebooks: no space")

    start_clusters(monkeypatch, started=started)
    monkeypatch.setattr(lab_session, "hand_out_notebooks", fail)
    with pytest.raises(CommandFailed):
        lab_session.start("a", None, lambda _: None)
    assert events == stopped
