"""`broker get` of real archives: killed and resumed, refused what is wrong, replaced by the next copy."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import studies
from asking import need_orthanc
from peers.orthanc import Orthanc

from broker.cli import main
from broker.cli.fetching import progress
from broker.getting.ledger import Entry, Ledger
from broker.getting.store import Store
from broker.getting.target import State, Target
from broker.manifests.items import Item
from catalog.keywords import Level

KILLS = 5
SLOWLY = "limits = { rate = 60 }"  # so that a busy machine still kills it in the middle


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """50 studies, 100 series, 300 instances."""
    return studies.write(tmp_path_factory.mktemp("get") / "source")


@pytest.fixture(scope="module")
def orthanc(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """All of them in an Orthanc."""
    need_orthanc()
    with Orthanc(tmp_path_factory.mktemp("orthanc"), files) as peer:
        yield peer


def federation(folder: Path, *entries: str) -> Path:
    """A federation file."""
    place = folder / "federation.toml"
    place.write_text("\n".join(entries), encoding="utf-8")
    return place


def dicomweb(name: str, url: str, more: str = "") -> str:
    """An entry of one."""
    return f'[archives.{name}]\nadapter = "dicomweb"\nurl = "{url}"\n{more}\n'


def command(config: Path, out: Path, *words: str) -> list[str]:
    """`broker get` of the studies."""
    return [*(words or ("series", "PatientID=GET-*")), "--config", str(config), "--output", str(out)]


def got(out: Path) -> list[Path]:
    """The instances that are there; a folder of ours that is being removed is not looked at."""
    return sorted(out.glob("[0-9]*/*/*.dcm"))


def same(files: list[Path], out: Path) -> None:
    """Exactly these instances, under their UIDs, each data set bit by bit."""
    source = studies.by_uid(files)
    found = {f.stem: f for f in got(out)}
    assert found.keys() == source.keys()
    assert {f for f in out.glob("[!.]*/**/*") if f.is_file()} == set(found.values())
    for uid, place in found.items():
        assert studies.syntax(place) == studies.syntax(source[uid])
        assert studies.data_set(place) == studies.data_set(source[uid]), uid
        study, series = place.parts[-3:-1]
        assert uid.startswith(f"{series}.")
        assert series.startswith(f"{study}.")


def killed_and_resumed(words: list[str], out: Path, whole: int, seed: int) -> None:
    """The command, killed whenever some more instances are there; then to its end."""
    rng = random.Random(seed)
    told = [sys.executable, "-m", "broker", "get", *words, "--quiet"]
    kills = 0
    for number in range(1, KILLS + 1):
        until = number * whole // (KILLS + 1) - rng.randrange(whole // 10)
        with subprocess.Popen(told, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and len(got(out)) < until and time.monotonic() < deadline:
                time.sleep(rng.uniform(0.001, 0.01))
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.returncode == -signal.SIGKILL and until <= len(got(out)) < whole:
            kills += 1
    assert kills >= KILLS // 2, "it was killed too late to be resumed"
    done = subprocess.run(told, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_50_studies_of_an_orthanc_killed_and_resumed(
    orthanc: Orthanc, files: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = command(federation(tmp_path, dicomweb("web", orthanc.url, SLOWLY)), out)
    killed_and_resumed([*words, "--at", "web"], out, len(files), seed=1)
    same(files, out)
    report = json.loads((out / "report.json").read_text())
    assert {s["state"] for s in report["series"]} == {"complete"}
    assert not list((out / ".broker").glob("in-*"))


def test_what_is_here_is_not_asked_for_again_and_what_was_spoilt_is(
    orthanc: Orthanc, files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, config = tmp_path / "out", federation(tmp_path, dicomweb("web", orthanc.url))
    words = ["get", *command(config, out, "series", f"StudyInstanceUID={studies.study(7)}"), "--at", "web"]
    assert main(words) == 0
    assert "6 instances came" in capsys.readouterr().err
    assert main(words) == 0
    assert "0 instances came (0.0 MB), 6 were here" in capsys.readouterr().err
    cut, gone, changed, *_ = got(out)
    cut.write_bytes(cut.read_bytes()[:-100])
    gone.unlink()
    raw = bytearray(changed.read_bytes())
    raw[-1] ^= 1
    changed.write_bytes(raw)
    assert main([*words, "--verify"]) == 0
    assert "3 instances came" in capsys.readouterr().err
    same([f for f in files if f.name.startswith("007")], out)


def test_studies_are_fetched_series_by_series(orthanc: Orthanc, files: list[Path], tmp_path: Path) -> None:
    out, config = tmp_path / "out", federation(tmp_path, dicomweb("web", orthanc.url))
    assert main(["get", *command(config, out, "studies", "PatientID=GET-00?"), "--at", "web", "-q"]) == 0
    same([f for f in files if f.name.startswith("00")], out)


def test_ctrl_c_ends_it_and_leaves_nothing_half_done(
    orthanc: Orthanc, files: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = command(federation(tmp_path, dicomweb("web", orthanc.url, SLOWLY)), out)
    told = [sys.executable, "-m", "broker", "get", *words, "--at", "web", "--quiet"]
    with subprocess.Popen(told, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and not got(out) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "broker: interrupted\n"
    assert not list((out / ".broker").glob("in-*"))
    source = studies.by_uid(files)
    assert all(studies.data_set(f) == studies.data_set(source[f.stem]) for f in got(out))


def test_a_folder_is_used_by_one_process_at_a_time(orthanc: Orthanc, tmp_path: Path) -> None:
    out, config = tmp_path / "out", federation(tmp_path, dicomweb("web", orthanc.url))
    store = Store(out)
    try:
        assert main(["get", *command(config, out, "series", "PatientID=GET-001"), "--at", "web", "-q"]) == 5
    finally:
        store.close()


def test_a_torn_line_of_the_ledger_is_nothing(tmp_path: Path) -> None:
    place = tmp_path / "ledger.jsonl"
    first = Entry("1.2", "1.2.3", "1.2.3.4", "00", 7, "web")
    ledger = Ledger(place)
    ledger.add(first)
    ledger.close()
    with place.open("ab") as stream:
        stream.write(b'{"study": "1.2", "ser')
    ledger = Ledger(place)
    ledger.add(Entry("1.2", "1.2.3", "1.2.3.5", "00", 7, "web"))
    ledger.close()
    again = Ledger(place)
    again.close()
    assert [uid for _, uid in again.entries] == ["1.2.3.4", "1.2.3.5"]
    assert again.entries["1.2.3", "1.2.3.4"] == first


def test_the_line_says_how_fast_and_how_long() -> None:
    item = Item(Level.SERIES, "1.2", "1.2.3", "", "", "CT", (), ())
    done = Target(item, "1.2", "1.2.3", (), State.COMPLETE, here=30, came=20, size=10_000_000, expected=30)
    rest = Target(item, "1.2", "1.2.4", (), expected=90)
    assert progress([done, rest], 2.0) == "1 of 2 series · 30 of 120 instances · 5.0 MB/s · 0:09 left"
    assert progress([], 1.0) == "0 of 0 series · 0 instances · 0.0 MB/s"
