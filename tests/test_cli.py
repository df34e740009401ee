"""The command as a user meets it: exit codes, formats, one clear line for whatever is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import jsonschema
import pandas
import pytest

from broker.answering.schema import AnswerModel, json_schema

COMMAND = [sys.executable, "-m", "broker"]


def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    full = {**os.environ, **(env or {})}
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=60, check=False, env=full
    )


LUNG = ["series", "Modality=CT", "BodyPartExamined=LUNG*", "StudyDate=2000-", "--at", "idc"]


def test_a_table_of_real_series() -> None:
    done = run("search", *LUNG, "--limit", "20")
    assert done.returncode == 0, done.stderr
    head, _, *rows = done.stdout.splitlines()
    for word in ("Collection", "PatientID", "StudyInstanceUID", "Modality", "SeriesDescription", "License"):
        assert word in head
    assert len(rows) == 20
    assert "CC BY" in rows[0]
    assert "idc: ok · 20 kept" in done.stderr
    assert "more exist" in done.stderr


def test_words_and_options_in_any_order() -> None:
    one = run(
        "search", "--limit", "2", "series", "--at", "idc", "Modality=CT", "--format", "csv", "PatientSex=F"
    )
    two = run(
        "search", "Modality=CT", "PatientSex=F", "--level", "series", "--at=idc", "--limit=2", "--format=csv"
    )
    assert one.returncode == 0, one.stderr
    assert one.stdout == two.stdout


def test_json_is_what_the_published_schema_says() -> None:
    done = run("search", *LUNG, "--limit", "5", "--format", "json")
    schema = json.loads(run("schema").stdout)
    assert schema == json_schema()
    jsonschema.Draft202012Validator(schema).validate(json.loads(done.stdout))
    assert len(AnswerModel.model_validate_json(done.stdout).entities) == 5
    published = Path(__file__).parent.parent / "docs" / "answer.schema.json"
    assert json.loads(published.read_text()) == schema


def test_csv_and_parquet_open_elsewhere(tmp_path: Path) -> None:
    table, file = tmp_path / "a.csv", tmp_path / "a.parquet"
    for form, place in (("csv", table), ("parquet", file)):
        done = run("search", *LUNG, "--limit", "7", "--format", form, "-o", str(place))
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
    by_pandas = pandas.read_csv(table, dtype=str), pandas.read_parquet(file)
    assert [len(frame) for frame in by_pandas] == [7, 7]
    assert list(by_pandas[0]["SeriesInstanceUID"]) == list(by_pandas[1]["SeriesInstanceUID"])
    with duckdb.connect() as db:
        for place in (table, file):
            assert db.execute(f"SELECT count(DISTINCT SeriesInstanceUID) FROM '{place}'").fetchall() == [(7,)]


def test_parquet_through_a_pipe(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "search", *LUNG, "--limit", "3", "--format", "parquet"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert len(pandas.read_parquet(io.BytesIO(done.stdout))) == 3


def federation(folder: Path, text: str) -> str:
    """A federation file."""
    place = folder / "f.toml"
    place.write_text(text, encoding="utf-8")
    return str(place)


ROWS = """
[archives.mine]
adapter = "rows"
[[archives.mine.options.records]]
StudyInstanceUID = "1.2.3"
StudyDescription = "=cmd|' /C calc'!A0"
PatientName = "Evil\\u001b[31m^Red"
PatientWeight = "-12.5"
"""


def test_a_cell_that_would_be_a_formula_is_defused(tmp_path: Path) -> None:
    done = run("search", "studies", "--at", "mine", "--config", federation(tmp_path, ROWS), "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["StudyDescription"] == "'=cmd|' /C calc'!A0"
    assert row["PatientWeight"] == "-12.5"


def test_terminal_escapes_do_not_reach_the_terminal(tmp_path: Path) -> None:
    file = federation(tmp_path, ROWS)
    done = run(
        "search", "studies", "--at", "mine", "--config", file, "--columns", "PatientName,StudyInstanceUID"
    )
    assert "\x1b" not in done.stdout
    assert "Evil" in done.stdout


MISSED = [
    ("Modality=ct", "did you mean Modality=CT?"),
    ("Modality==CT", "did you mean Modality=CT?"),
    ("PatientSex=female", "did you mean PatientSex=F?"),
    ("BodyPartExamined=lung", "BodyPartExamined~lung finds it anywhere, in any"),
]


@pytest.mark.parametrize(("text", "hint"), MISSED)
def test_where_nothing_is_found_it_is_said_what_may_have_been_meant(text: str, hint: str) -> None:
    done = run("search", "series", text, "--at", "idc")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"hint: {text.split('=')[0]}" in done.stderr or "hint: =CT" in done.stderr
    assert hint in done.stderr


def test_no_hint_repeats_who_a_patient_is() -> None:
    done = run("search", "series", "PatientID=nobody-17", "PatientName=Nobody", "--at", "idc")
    assert "obody" not in done.stderr


def test_the_name_of_the_file_is_the_format(tmp_path: Path) -> None:
    done = run("search", *LUNG, "--limit", "3", "--output", str(tmp_path / "found.csv"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "found.csv").read_text().count("\n") == 4


def test_a_further_field_is_a_column_of_the_table() -> None:
    done = run("search", *LUNG, "--limit", "1", "--field", "ManufacturerModelName")
    assert done.stdout.splitlines()[0].split()[-2:] == ["ManufacturerModelName", "Archives"]


def test_a_home_that_is_no_folder_is_not_in_the_way() -> None:
    env = {"HOME": "/dev/null", "XDG_CACHE_HOME": "", "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
    assert run("search", *LUNG, "--limit", "1", env=env).returncode == 0


def test_nothing_is_printed_after_the_answer() -> None:
    """A thread that still holds a connection at Python's end makes DuckDB print what it takes for a leak."""
    for _ in range(5):
        done = run("search", "series", "Modality=XX", "--at", "idc", "--quiet")
        assert done.stderr == ""


WRONG: list[tuple[list[str], int, str]] = [
    (["search", "series", "Modalty=CT"], 2, "did you mean Modality?"),
    (
        ["search", "studies", "StudyDate=20201231-20200101"],
        2,
        "StudyDate=20201231-20200101: the range is reversed",
    ),
    (["search", "studies", "StudyInstanceUID=1.2.*"], 2, "no wildcards in VR UI"),
    (["search", "instances", "Modality=CT"], 2, "not searched yet"),
    (["search", "series", "studies"], 2, "one level"),
    (["search", "serie"], 2, "did you mean series?"),
    (["search", "series", "CT", "lung"], 2, "'CT' is neither a level nor a condition"),
    (["search", "Modality:CT"], 2, "as in Modality=CT"),
    (["search", "License=CC", "BY", "3.0"], 2, "in quotes: 'License=CC BY 3.0'"),
    (["search", "Modality!=CT"], 2, "!= is no sign of the query language"),
    (["search", "StudyDate=2010-01-31..2012"], 2, "did you mean StudyDate=20100131-2012?"),
    (["search", "StudyDate=01/02/2011"], 2, "did you mean StudyDate=20110102 or StudyDate=20110201?"),
    (["search", "StudyDate=>2010"], 2, "did you mean StudyDate=2010-?"),
    (["search", "--limt", "3"], 2, "did you mean --limit?"),
    (["serch", "series"], 2, "unknown command 'serch'; did you mean search?"),
    (["Modality=CT"], 2, "did you mean broker search?"),
    (["search", "series", "--at", "IDC"], 5, "did you mean idc?"),
    (["search", "series", "--at", "https://x/y"], 5, "broker archives add NAME --url https://x/y"),
    (["search", "series", "Modality=CT", "--limit", "-1"], 2, "limit -1"),
    (["search", "series", "--timeout", "0"], 2, "timeout 0"),
    (["search", "series", "--columns", "Modalty"], 2, "--columns"),
    (["search", "series", "--at", "nowhere"], 5, "unknown archive 'nowhere'"),
    (["search", "series", "--at", "xnat-central"], 5, "is retired, as of 2023-10-15"),
    (["search", "series", "--require", "tcia"], 5, "not among the archives asked"),
    (["search", "series", "--config", "/no/such/file.toml"], 5, "no federation file"),
    (["search", "series", "--config", "/" + "x" * 300], 5, "File name too long"),
    (["search", "series", "--output", "/no/such/folder/x"], 5, "--output"),
]


@pytest.mark.parametrize(("words", "code", "text"), WRONG, ids=[" ".join(w[0][1:]) for w in WRONG])
def test_what_is_wrong_is_said_in_one_line_before_anything_is_asked(
    words: list[str], code: int, text: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("broker: ")
    assert text in line


BROKEN: list[tuple[str, str]] = [
    ("archives = 3", "archives"),
    ("[archives.x\n", "not TOML"),
    ("a = " + "[" * 5000, "not TOML"),
    ("a = " + "1" * 5000, "not TOML"),
    ('[archives.x]\nurl = "http://h/"\n', "archives.x: adapter is missing"),
    ('[archives.x]\nadapter = "dicomweb"\nurll = "http://h/"\n', "archives.x.urll"),
    ('[archives.x]\nadapter = "dicomweb"\nurl = "hospital"\n', "archives.x.url"),
    (
        '[archives.x]\nadapter = "dicomweb"\nurl = "http://127.0.0.1/"\noptions = { pages = 3 }\n',
        "unknown option 'pages'",
    ),
    (
        '[archives.x]\nadapter = "dicomweb"\nurl = "http://127.0.0.1/"\n'
        'auth = { kind = "bearer", token = "env:NO_SUCH" }\n',
        "archive x: auth.token: the environment variable NO_SUCH is not set",
    ),
    (
        '[archives.x]\nadapter = "dicomweb"\nurl = "http://127.0.0.1/"\n'
        'auth = { kind = "bearer", token = "hunter2" }\n',
        "only by reference",
    ),
    (
        '[archives.x]\nadapter = "dicomweb"\nurl = "http://example.org/"\n'
        'auth = { kind = "header", name = "X-Key", value = "env:HOME" }\n',
        "in the clear",
    ),
]


@pytest.mark.parametrize(("text", "said"), BROKEN, ids=[b[1][:30] for b in BROKEN])
def test_a_broken_federation_file_is_named_and_secrets_are_not(text: str, said: str, tmp_path: Path) -> None:
    done = run("search", "studies", "--at", "x", "--config", federation(tmp_path, text))
    assert (done.returncode, done.stdout) == (5, "")
    (line,) = done.stderr.splitlines()
    assert said in line
    assert "hunter2" not in line


def silent_archive(folder: Path) -> tuple[str, socket.socket]:
    """A federation with an archive that accepts and never answers."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    return federation(
        folder, f'[archives.mute]\nadapter = "dicomweb"\nurl = "http://127.0.0.1:{port}"\n'
    ), listening


def test_ctrl_c_ends_quietly_within_a_second(tmp_path: Path) -> None:
    file, listening = silent_archive(tmp_path)
    with listening:
        words = [*COMMAND, "search", "studies", "--at", "mute,idc", "--config", file]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            listening.settimeout(20)
            caller, _ = listening.accept()
            with caller:
                start = time.monotonic()
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=10)
                took = time.monotonic() - start
    assert process.returncode == 130
    assert "Traceback" not in err + out
    assert took < 2  # a second, and another for a busy machine


def test_the_deadline_holds(tmp_path: Path) -> None:
    file, listening = silent_archive(tmp_path)
    with listening:
        done = run("search", "studies", "--at", "mute", "--config", file, "--timeout", "0.3")
    assert done.returncode == 4
    assert "mute: failed (timeout)" in done.stderr


def test_a_closed_pipe_ends_quietly() -> None:
    words = " ".join(
        [sys.executable, "-m", "broker", "search", "series", "Modality=SM", "--at", "idc", "--format=ndjson"]
    )
    done = subprocess.run(
        f"{words} --limit 20000 | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_help_loads_nothing_heavy_and_a_local_search_no_client() -> None:
    heavy = {"aiohttp", "asyncio", "duckdb", "pydantic", "pydicom", "rich", "msgspec"}
    local = {"aiohttp", "pydantic", "pydicom", "pandas", "tenacity", "msgspec"}
    for words, banned in ((["archives", "--help"], heavy), (["search", *LUNG, "--limit", "1", "-q"], local)):
        seen = f"print('LOADED', sorted(set(sys.modules) & {banned!r}))"
        line = f"import atexit, sys; atexit.register(lambda: {seen});"
        done = subprocess.run(
            [sys.executable, "-c", line + f"from broker.cli import main; main({words!r})"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "LOADED []", words


def test_explain_shows_the_way_of_every_condition_and_asks_nobody(tmp_path: Path) -> None:
    file, listening = silent_archive(tmp_path)
    with listening:
        listening.setblocking(False)
        words = ["StudyDate=2010-", "PatientName=SMITH^J*", "StudyDescription~chest"]
        done = run("explain", "studies", *words, "--at", "mute,idc", "--config", file, "--format", "json")
        with pytest.raises(BlockingIOError):
            listening.accept()
    mute, idc = json.loads(done.stdout)
    assert {s["condition"]: s["where"] for s in mute["steps"]} == {
        "PatientName=SMITH^J*": "checked here",
        "StudyDate=20100101-": "asked there",
        "StudyDescription~chest": "checked here",
    }
    assert "StudyDate=20100101-" in mute["requests"][0]
    assert mute["self_test_first"] is True
    assert "PatientName" in idc["refusal"]


def test_archives_are_listed_with_state_and_date() -> None:
    listed = {a["name"]: a for a in json.loads(run("archives", "--format", "json").stdout)}
    assert listed["idc"]["asked"] is True
    assert listed["xnat-central"]["state"] == "retired"
    assert all(a["as_of"] for a in listed.values() if "adapter" in a)
    assert all(a["cite"] for a in listed.values() if a["state"] != "unknown")
    assert "idc" in run("archives").stdout


def test_version() -> None:
    assert run("--version").stdout.strip() == "0.1.0"
