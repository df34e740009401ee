"""What a stranger types a little wrong is answered with what to write; what cannot be written is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.admitting.checks import Checked, History
from broker.cli import BAD_CONFIG, BAD_QUERY, OK, PIPE, main
from broker.files import named
from broker.probing.syncing import due
from catalog import probes
from catalog.archives import Archive
from catalog.evidence import Status

EMPTY = {
    "matrix @": "ARCHIVE",
    "matrix --html @": "--html",
    "matrix --capability @": "--capability",
    "matrix --as-of @": "--as-of",
    "search series Modality=CT --at @": "--at",
    "search series Modality=CT --at ,": "--at",
    "search series Modality=CT --output @": "--output",
    "search series @": "LEVEL | KEYWORD=VALUE",
    "explain series --at @": "--at",
    "count --by @": "--by",
    "show @": "UID",
    "probe @": "ARCHIVE",
    "collections @": "WORD",
    "catalog show @ X": "import FILE-OR-FOLDER | list | show ARCHIVE NAME | remove ARCHIVE",
    "archives --pages @": "--pages",
    "catalog remove mine --from @": "--from",
    "catalog import t.csv --archive @": "--archive",
    "catalog import t.csv --archive x --as @": "--as",
}

SLIPS = {
    "compare tcia tcia": "two archives, or two archive programs, each once",
    "compare tcia icd": "did you mean idc?",
    "archives tcia": "`broker matrix ARCHIVE` shows one",
    "archives --where state=ret*": "* stands for itself here; write state~ret",
    "collections modality=CT": "is a condition: write --where modality=CT",
    "collections lung patients>100": "write --where 'patients>100'",
    "collections --where license=CC*": "write license~CC",
    "search lung": "a condition is KEYWORD=VALUE, as in Modality=CT",
    "search serie": "did you mean series?",
    "search series --body-part-examined LUNG": "a condition is written BodyPartExamined=VALUE",
    "sync --at-once 0": "'0' is no number from 1 on",
    "sync --older-than 99999999999999d": "write 7d, 12h, 30m or 0",
    "probe idc --pause nan": "'nan' is no number of seconds",
    "probe idc --pause -1": "'-1' is no number of seconds",
    "probe idc --timeout 0": "timeout 0: must be more than 0 seconds",
    "search Modality=CT -o found.xlsx": "write .txt, .csv, .json",
    "search Modality=CT --order ,": "write keywords, as in StudyDate,-PatientID",
    "catalog import t.csv --archive x --mapping none.toml": "none.toml: the mapping cannot be read",
    "catalog import t.csv --archive x --rejected no/r.csv": "--rejected no/r.csv: cannot be written",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where nothing is yet, and a folder with one table."""
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    work = tmp_path / "work"
    work.mkdir()
    (work / "t.csv").write_text("PatientID,Modality\nA,CT\n")
    monkeypatch.chdir(work)
    return work


def code_of(words: list[str]) -> int:
    """The code that the command ends with; argparse raises it."""
    try:
        return main(words)
    except SystemExit as ended:
        return int(str(ended.code))


@pytest.mark.parametrize("words", EMPTY)
def test_an_empty_word_is_refused_and_not_taken_for_none(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a variable of a script that nobody set: `--at ""` asked every archive."""
    assert code_of(["" if word == "@" else word for word in words.split()]) == BAD_QUERY
    said = f"broker: {EMPTY[words]}: nothing stands there; leave it out, or write what is meant\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("words", SLIPS)
def test_a_slip_is_answered_with_what_to_write(
    words: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert code_of(words.split()) == BAD_QUERY
    got = capsys.readouterr()
    assert SLIPS[words] in got.err
    assert (got.out, got.err.count("\n"), [p.name for p in home.iterdir()]) == ("", 1, ["t.csv"])


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("state=retird", "did you mean retired?; known are alive, embedded, unknown, retired, moved"),
        ("public_api=ye", "of no archive is 'ye' known; did you mean yes?"),
        ("state=alive,moved", ""),
        ("state=embedded", ""),
    ],
)
def test_a_value_that_no_archive_has_is_said(
    where: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archives", "--where", where]) == OK
    got = capsys.readouterr()
    assert said in got.err
    assert ("no archive satisfies the conditions" in got.err) is bool(said) is not bool(got.out)


def test_what_was_asked_for_with_more_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["collections", "rider_pilot", "--at", "idc", "--more"]
    assert main([*words, "studies,body_part"]) == OK
    head, _, row, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[-4:] == ["Body", "part", "Held", "at"]
    assert row.split()[-3:] == ["154", "Lung", "idc"]


def test_columns_may_be_named_as_the_table_heads_them(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["search", "series", "Collection=rider_pilot", "--at", "idc", "--limit", "1", "-q", "--columns"]
    assert main([*words, "PatientID, Images,archives"]) == OK
    assert capsys.readouterr().out.split()[:3] == ["PatientID", "Images", "Archives"]


@pytest.mark.parametrize(
    "words",
    [
        "search series Modality=CT --at idc --limit 3000 --format csv",
        "search series Modality=CT --at idc --limit 3000 --format json",
        "facets series --at idc --top 0 --by collection,StudyDate",
    ],
)
def test_a_reader_who_has_gone_ends_the_command_with_141(words: str) -> None:
    command = [sys.executable, "-m", "broker", *words.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(1)
        running.stdout.close()
        told = running.stderr.read()
    assert (running.returncode, "Traceback" in told) == (PIPE, False), told


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes], home: Path) -> None:
    words = ["search", "series", "Collection=rider_pilot", "--at", "idc", "--limit", "1", "-q", "-o", "-"]
    assert main([*words, "--format", "json"]) == OK
    assert json.loads(capfdbinary.readouterr().out)["entities"]
    assert [p.name for p in home.iterdir()] == ["t.csv"]


def test_a_pipe_is_written_to_and_not_replaced_by_a_file(home: Path) -> None:
    pipe = home / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with named(pipe) as stream:
        stream.write(b"here")
    assert os.read(reader, 10) == b"here"
    os.close(reader)
    assert pipe.is_fifo()
    with named(Path("/dev/null")) as stream:
        stream.write(b"gone")
    assert Path("/dev/null").is_char_device()


def test_what_cannot_be_kept_is_said_before_anybody_is_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "t.csv"))
    asked: list[str] = []
    monkeypatch.setattr("broker.probing.syncing.probe", lambda archive, **_: asked.append(archive.name))
    assert main(["probe", "idc"]) == BAD_CONFIG
    assert "the evidence cannot be kept: Not a directory" in capsys.readouterr().err
    assert asked == []


def test_a_check_that_cannot_be_kept_is_shown_all_the_same(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = [Checked("idc", "idc 1", 1.0, True)]
    assert History(home / "t.csv" / "checks.jsonl").add(found) == found
    assert "the checks are not kept" in caplog.text


def test_a_file_of_checks_that_is_no_text_is_read_past(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    history = History(home / "checks.jsonl")
    history.file.write_bytes(b"\xff\n[[\n" + b"[" * 5000 + b"\n" + b"x" * 200_000 + b"\n")
    made = Checked("idc", "idc 1", 1.0, True, speaks="a line\u2028of two")
    history.add([made])
    assert [one.speaks for one in history.all()] == [made.speaks]
    assert [r.getMessage().split()[-4] for r in caplog.records[:4]] == ["1:", "2:", "3:", "4:"]


def test_a_probe_that_is_dated_in_the_future_is_made_again() -> None:
    """A clock that was ahead once would have kept an archive from being probed for years."""
    now = datetime.now(UTC)
    for ahead, again in ((timedelta(days=-1), []), (timedelta(days=900), ["a"])):
        at = (now + ahead).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = probes.measured(Status.YES, "x", cite="probe, 3 questions", by="broker 1")
        evidence = said.__class__(**{n: getattr(said, n) for n in said.__slots__} | {"as_of": at})
        probes.record([probes.Found("a", "size", evidence)])
        wanted, _ = due([Archive("a", "idc")], timedelta(days=7), now)
        assert [a.name for a in wanted] == again


def test_an_archive_that_can_never_be_asked_is_not_written(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    """`--unchecked` is for one that does not answer now."""
    words = ["archives", "add", "pacs", "--kind", "dicomweb", "--unchecked", "--config", "f.toml"]
    assert main(words) == BAD_CONFIG
    assert "nothing was written: archive pacs: not an HTTP address" in capsys.readouterr().err
    assert not (home / "f.toml").exists()
    assert main([*words, "--url", "http://127.0.0.1:9/x"]) == OK
    assert (home / "f.toml").exists()


def test_where_nothing_was_on_record_by_then_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "idc", "--as-of", "2010"]) == OK
    assert capsys.readouterr().err == "nothing was on record of that by 2010\n"


@pytest.mark.parametrize("words", ["matrix tcia", "search --at idc", "cohorts", "catalog list", "probe idc"])
def test_without_a_home_the_command_says_what_to_set(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert main(words.split()) == BAD_CONFIG
    assert "no home directory is known: set HOME to an absolute path" in capsys.readouterr().err


def test_the_home_of_nobody_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archives", "--config", "~nobody-of-that-name/f.toml"]) == BAD_CONFIG
    assert "it is not known whose home that is; write the whole path" in capsys.readouterr().err


def test_where_nothing_is_saved_the_command_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cohorts"]) == OK
    assert capsys.readouterr().out == "no cohort was saved yet: broker save NAME QUERY\n"


@pytest.mark.parametrize("words", ["matrix --format csv", "search series Modality=CT --at idc", "schema"])
@pytest.mark.parametrize("where", ["stdout", "output"])
def test_a_full_disk_is_one_line_and_a_code(words: str, where: str, home: Path) -> None:
    if where == "output" and not words.startswith("search"):
        words = "manifest Collection=rider_pilot --at idc"
    command = [sys.executable, "-m", "broker", *words.split()]
    command += ["-o", "/dev/full"] if where == "output" else []
    with Path("/dev/full").open("wb") as full:
        out = full if where == "stdout" else subprocess.DEVNULL
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == BAD_CONFIG
    assert done.stderr.splitlines()[-1].endswith("cannot be written: No space left on device")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_is_closed_is_done_without(closed: str) -> None:
    """And what is for people does not go to the records."""
    words = "search series Collection=rider_pilot --at idc --limit 1 --format ndjson"
    shell = f"exec {sys.executable} -m broker {words} {'>' if closed == 'stdout' else '2>'}&-"
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == OK
    assert "Traceback" not in done.stderr
    assert ([json.loads(row)["level"] for row in done.stdout.splitlines()] == ["SERIES"]) is (
        closed == "stderr"
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("words", ["matrix tcia", "collections rider --at idc --format json"])
def test_output_is_utf_8_whatever_the_language_is_set_to(words: str, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "broker", *words.split()]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count(b"Traceback")) == (OK, 0)
    assert not done.stdout.decode("utf-8").isascii()
