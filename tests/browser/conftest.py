"""A desk before the pages of a hub that nothing has happened at yet."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser_parts import Desk, open_desk
from tests.web_parts import open_face


@pytest.fixture
async def desk(tmp_path: Path, chromium: Path) -> AsyncIterator[Desk]:
    """Give the desk."""
    async with open_face(tmp_path) as face, open_desk(face, chromium) as found:
        yield found
