"""Fixtures that many tests share: ports, real servers where they are installed, footage where it is present."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from storage.database import migrate

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SERVER_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"  # not on the path of ordinary users


@pytest.fixture
def free_port() -> int:
    """Give a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mosquitto() -> Path:
    """Give the broker's program."""
    found = shutil.which("mosquitto", path=f"{os.environ['PATH']}:{SERVER_FOLDERS}")
    if found is None:
        pytest.skip("mosquitto is not installed")
    return Path(found)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Give the browser's program."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return Path(found)
    pytest.skip("no Chromium is installed")


@pytest.fixture(scope="session")
def footage() -> tuple[Path, ...]:
    """Give the real footage beside the project."""
    found = tuple(sorted((ROOT.parent / "shared" / "video").glob("*.mp4")))
    if not found:
        pytest.skip("no real footage beside the project")
    return found


@pytest.fixture(scope="session")
def port_footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which whole-port tests keep their synthetic footage, so that it is made once."""
    return tmp_path_factory.mktemp("port-footage")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Path]:
    """Run a PostgreSQL server of our own, reached by a socket in the directory that is given."""
    programs = _postgresql_programs()
    user = _server_user()
    with tempfile.TemporaryDirectory(prefix="portwitness-pg-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        data = directory / "data"
        _run(user, programs / "initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--username=portwitness", "-D", data)
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off"
        try:
            _run(user, programs / "pg_ctl", "--wait", "-D", data, "-l", directory / "log", "-o", options, "start")
            yield directory
        finally:
            _run(user, programs / "pg_ctl", "--wait", "-m", "immediate", "-D", data, "stop")


@pytest.fixture(scope="session")
def postgresql_tables(postgresql_server: Path) -> str:
    """Give the name of a database with the newest tables, which others are copied from: the migrations run once."""
    with psycopg.connect(host=str(postgresql_server), user="portwitness", dbname="postgres", autocommit=True) as server:
        server.execute("CREATE DATABASE tables")
    engine = create_engine(f"postgresql+psycopg://portwitness@/tables?host={postgresql_server}")
    migrate(engine)
    engine.dispose()
    return "tables"


@pytest.fixture
def postgresql_url(postgresql_server: Path, postgresql_tables: str) -> Iterator[str]:
    """Give the SQLAlchemy URL of a database with tables and nothing in them."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(host=str(postgresql_server), user="portwitness", dbname="postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{postgresql_tables}"')  # type: ignore[call-overload,unused-ignore]
        yield f"postgresql+psycopg://portwitness@/{name}?host={postgresql_server}"
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[call-overload,unused-ignore]


def _postgresql_programs() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if installed:
        return installed[-1].parent
    if on_path is None:
        pytest.skip("PostgreSQL is not installed")
    return Path(on_path).resolve().parent


def _server_user() -> pwd.struct_passwd | None:
    """Give the user to run the server as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


def _run(user: pwd.struct_passwd | None, *command: str | Path) -> None:
    uid, gid = (user.pw_uid, user.pw_gid) if user else (None, None)
    groups: list[int] | None = [] if user else None
    done = subprocess.run(
        [str(part) for part in command], user=uid, group=gid, extra_groups=groups, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd="/", timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode()
