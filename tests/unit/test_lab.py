"""hpclab lab, with everything that it starts replaced; tests/cluster/test_learner.py has the real one."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from hpclab.cli import lab, main


@pytest.mark.parametrize("mine", [True, False])
def test_ctrl_c_in_the_browser_stops_the_cluster_that_this_started(
    monkeypatch: pytest.MonkeyPatch, mine: bool
) -> None:
    def browser(url: str) -> None:
        assert url == "http://x"
        raise KeyboardInterrupt

    stopped: list[str] = []
    for name, value in {
        "compose": lambda **_: None,
        "ensure_up": lambda _: mine,
        "submit_settings": lambda _: [],
        "_release_notebooks": lambda _: None,
        "_until_stopped": lambda *_, **__: pytest.fail("the browser did not return"),
    }.items():
        monkeypatch.setattr(lab, name, value)
    monkeypatch.setattr(lab.portal, "known", lambda _: None)
    monkeypatch.setattr(lab.portal, "choose_port", lambda _: 8888)
    monkeypatch.setattr(lab.portal, "serve", lambda *_: SimpleNamespace(url="http://x"))
    monkeypatch.setattr(lab.webbrowser, "open", browser)
    monkeypatch.setattr(lab.lifecycle, "down", lambda name, *_, **__: stopped.append(name))
    done = CliRunner().invoke(main, ["lab", "--open", "--name", "a"])
    assert done.exit_code == 1 and "Ready" in done.output
    assert stopped == (["a"] if mine else [])
