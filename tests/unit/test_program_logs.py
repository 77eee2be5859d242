"""What the programs log: their own lines, and of libraries only what is wrong."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

import edge.__main__ as edge_program
import web.__main__ as hub_program
from edge.config import EdgeSettings

LIBRARIES = ("aioice.ice", "aiortc.rtcrtpsender")


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """Put the levels back that the programs set."""
    names = {*edge_program.TALKATIVE, *hub_program.TALKATIVE}
    before = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("level", ["info", "debug"])
def test_a_box_tells_of_candidates_only_when_everything_is_asked_for(tmp_path: Path, level: Literal["info", "debug"]) -> None:
    root = logging.getLogger().level
    try:
        edge_program.start_log(EdgeSettings(state=tmp_path, log_level=level))
        logging.getLogger().setLevel(level.upper())  # what basicConfig does where no test runner has set it up before
        for name in LIBRARIES:
            assert logging.getLogger(name).isEnabledFor(logging.INFO) is (level == "debug")
            assert logging.getLogger(name).isEnabledFor(logging.WARNING)
        assert logging.getLogger("edge.forward").isEnabledFor(logging.INFO)
    finally:
        logging.getLogger().setLevel(root)


def test_the_hub_leaves_steps_of_its_servers_out() -> None:
    hub_program.start_log()
    for name in (*LIBRARIES, "uvicorn.error"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
        assert logging.getLogger(name).isEnabledFor(logging.WARNING)
