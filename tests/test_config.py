"""Federation file and credentials: by reference only, one clear error for each thing that can be wrong."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path

import pytest

from broker import config, registry
from broker.errors import BadConfig
from broker.planning.privacy import withheld
from broker.query import Query
from broker.setup.credentials import Secret, headers, login
from catalog.archives import Archive


def file(folder: Path, text: str) -> Path:
    place = folder / "federation.toml"
    place.write_text(text, encoding="utf-8")
    return place


def test_the_shipped_federation_asks_only_the_embedded_archive() -> None:
    archives = config.federation().archives
    assert [a.name for a in config.chosen(archives)] == ["idc"]
    assert all(a.state in ("embedded", "alive", "moved", "retired", "unknown") for a in archives.values())


def test_a_file_adds_archives_and_changes_shipped_ones(tmp_path: Path) -> None:
    place = file(
        tmp_path,
        "[archives.idc]\nasked = false\n"
        '[archives.pacs]\nadapter = "dicomweb"\nurl = "http://h/"\nasked = true\n',
    )
    archives = config.federation(place).archives
    assert [a.name for a in config.chosen(archives)] == ["pacs"]
    assert archives["idc"].adapter == "idc"


def test_where_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = file(tmp_path, '[archives.idc]\ntitle = "from the variable"\n')
    monkeypatch.setenv("IMAGING_BROKER_CONFIG", str(place))
    assert config.federation().archives["idc"].title == "from the variable"
    monkeypatch.delenv("IMAGING_BROKER_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "imaging-broker").mkdir()
    place.rename(tmp_path / "imaging-broker" / "federation.toml")
    assert config.federation().archives["idc"].title == "from the variable"


def test_nothing_asked_by_default_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="--at"):
        config.chosen(config.federation(file(tmp_path, "[archives.idc]\nasked = false\n")).archives)


def test_every_kind_of_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "pass:word")
    (tmp_path / "token").write_text("t0ken\nmore\n")
    (tmp_path / ".netrc").write_text("machine pacs.example.org login bob password n3trc\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))

    def login(**auth: str) -> dict[str, str]:
        made = headers("x", auth, "https://pacs.example.org/dicom-web")
        assert "***" in repr(made) or not made
        return {k: v.reveal() for k, v in made.items()}

    assert login() == login(kind="none") == {}
    basic = login(kind="basic", username="alice", password="env:PW")["Authorization"]
    assert base64.b64decode(basic.removeprefix("Basic ")) == b"alice:pass:word"
    assert login(kind="bearer", token=f"file:{tmp_path}/token") == {"Authorization": "Bearer t0ken"}
    assert login(kind="header", name="X-Key", value="env:PW") == {"X-Key": "pass:word"}
    netrc = login(kind="netrc")["Authorization"]
    assert base64.b64decode(netrc.removeprefix("Basic ")) == b"bob:n3trc"


BAD = [
    ({"kind": "magic"}, "unknown kind"),
    ({"kind": "basic", "username": "a"}, "needs password"),
    ({"kind": "bearer", "token": "hunter2"}, "only by reference"),
    ({"kind": "bearer", "token": "env:NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE is not set"),
    ({"kind": "bearer", "token": "file:/no/such/file"}, "cannot read the file"),
    ({"kind": "bearer", "token": "env:NEWLINE"}, "control character"),
    ({"kind": "netrc"}, "netrc"),
]


@pytest.mark.parametrize(("auth", "said"), BAD, ids=[b[1] for b in BAD])
def test_a_login_that_cannot_work_is_said_without_the_secret(
    auth: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEWLINE", "evil\r\nX-Other: 1")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BadConfig, match=said) as caught:
        headers("x", auth, "https://h/")
    assert "hunter2" not in str(caught.value)
    assert "evil" not in str(caught.value)


def test_a_secret_shows_itself_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("s3cret")
    logging.getLogger("broker").warning("%s %r %s", secret, [secret], f"{secret}")
    assert "s3cret" not in caplog.text + repr(secret) + str(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_an_adapter_that_is_not_installed_is_named() -> None:
    with pytest.raises(BadConfig, match="'no-such-kind', which is not installed"):
        registry.adapter_for(Archive("x", "no-such-kind"))
    assert {"dicomweb", "idc", "rows", "xnat"} <= set(registry.adapters())


def test_a_package_that_shadows_ours_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other distributions on PyPI own the name `adapters`."""
    import sys
    from importlib.metadata import EntryPoint

    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [m for m in sys.modules if m.partition(".")[0] == "adapters"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(BadConfig, match="another package named 'adapters'"):
        registry._load(EntryPoint("idc", "adapters.idc.adapter:Idc", registry.GROUP))


def test_a_public_archive_does_not_see_whom_a_trusted_one_is_asked_for() -> None:
    """Identifying values of a query stay with the archives that may see them."""
    public = Archive("public", "dicomweb", trust="public")
    trusted = Archive("hospital", "dicomweb", trust="trusted")
    local = Archive("idc", "idc", state="embedded")
    query = Query("studies", PatientName="SMITH*", StudyDate="2010-")
    hidden = frozenset({"PatientName"})
    assert withheld(query, [public, trusted, local]) == [hidden, frozenset(), frozenset()]
    assert withheld(query, [public, local]) == [frozenset(), frozenset()]
    assert withheld(Query("studies", PatientName="*"), [public, trusted]) == [frozenset(), frozenset()]


def test_a_session_that_is_open_already_is_a_cookie_or_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION", "0123ABCD")
    auth = {"kind": "jsession", "token": "env:SESSION"}
    assert headers("x", auth)["Cookie"].reveal() == "JSESSIONID=0123ABCD"
    told = login("x", auth)
    assert told.secret is not None
    assert (told.kind, told.username, told.secret.reveal()) == ("jsession", "", "0123ABCD")
    assert "0123ABCD" not in repr(told)
    basic = login("x", {"kind": "basic", "username": "alice", "password": "env:SESSION"})
    assert (basic.kind, basic.username) == ("basic", "alice")
    assert login("x", {}).secret is None


def test_a_retired_archive_is_not_asked_and_says_where_it_went() -> None:
    import broker

    with pytest.raises(BadConfig, match=r"xnat-central is retired, as of 2023-10-15.*NITRC-IR"):
        broker.search("studies", at=["xnat-central"])
    with pytest.raises(BadConfig, match="retired"):
        broker.archive("xnat-central")


def test_the_shipped_xnat_is_ready_to_be_asked() -> None:
    import broker

    (told,) = broker.explain("studies", "StudyDate=2010-2012", at=["nitrc-ir"])
    assert told.requests == ("https://www.nitrc.org/ir/data/projects?columns=ID&format=json",)
    assert told.plan.asked() == ["StudyDate=20100101-20121231"]
