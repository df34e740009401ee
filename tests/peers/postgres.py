"""A real PostgreSQL on loopback for as long as a ``with`` block lasts: own data, an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from peers.child import START_SECONDS, PeerError, free_ports

USER, PASSWORD = "keeper", "correct horse"  # of a server that lives for a test


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    if found:
        return found[-1].parent
    other = shutil.which("initdb")
    return Path(other).parent if other else None


def _unprivileged() -> dict[str, Any]:
    """As whom it runs: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {}
    names = [name for name in ("postgres", "nobody") if _known(name)]
    return {"user": names[0], "group": pwd.getpwnam(names[0]).pw_gid} if names else {}


def _known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


class Postgres:
    """The server. `url` and `PASSWORD` lead to its first database; `database(name)` makes another."""

    @staticmethod
    def missing() -> str:
        """What is not here, or ""."""
        if _programs() is None:
            return "PostgreSQL is not installed (Debian package postgresql)"
        try:
            import psycopg  # noqa: F401
        except ImportError:
            return "psycopg is not installed (extra postgres)"
        return ""

    def __init__(self, fsync: str = "off") -> None:
        self._fsync = fsync

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="broker-postgres-"))
        self._as = _unprivileged()
        if self._as:
            shutil.chown(self._folder, self._as["user"], self._as["group"])
        programs = _programs()
        assert programs is not None
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = self._folder / "data"
        self._run(
            programs / "initdb", "-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        (self.port,) = free_ports(1)
        self._log = (self._folder / "log").open("wb")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": self._fsync,
            "shared_buffers": "256MB",
            "max_connections": 60,
            "maintenance_work_mem": "256MB",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._server = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(data), *words],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            **self._as,
        )
        self._wait()
        return self

    def _run(self, *words: object) -> None:
        done = subprocess.run(
            [str(w) for w in words], capture_output=True, text=True, check=False, cwd=self._folder, **self._as
        )
        if done.returncode != 0:
            raise PeerError(done.stderr[-2000:])

    def _wait(self) -> None:
        import psycopg

        end = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), password=PASSWORD).close()
            except psycopg.OperationalError as error:
                if self._server.poll() is not None or time.monotonic() > end:
                    raise PeerError((self._folder / "log").read_text()[-2000:]) from error
                time.sleep(0.05)
            else:
                return

    def url(self, database: str) -> str:
        """The address of a database, without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """The address of a new database."""
        import psycopg

        with psycopg.connect(self.url("postgres"), password=PASSWORD, autocommit=True) as db:
            db.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)
