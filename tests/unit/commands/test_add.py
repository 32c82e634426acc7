"""`proofmint add` and `proofmint profile`: what they find out, write, and leave alone."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import yaml
from faker import Faker
from PIL import Image

from tasks.commands.add import add, with_entry
from tasks.commands.check import check_settings
from tasks.commands.origins import Origin
from tasks.commands.profile import profile_source
from tasks.errors import DataError, ParamsError, SourceError
from tasks.gates.suites import load_suite

ROOT = Path(__file__).parents[3]
ENTRY = yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"]["breast_cancer"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of one dataset, a CSV file and a SQLite database of people."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    rng, fake = np.random.default_rng(0), Faker("en_GB", use_weighting=False)
    fake.seed_instance(0)
    people = [
        (
            i,
            fake.name(),
            fake.unique.email(),
            int(rng.integers(18, 90)),
            str(rng.choice(["f", "m"])),
        )
        for i in range(120)
    ]
    lines = ["id,name,email,age,sex", *(",".join(map(str, row)) for row in people)]
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")
    with sqlite3.connect(tmp_path / "people.sqlite") as database:
        database.execute(
            "create table person (id integer primary key, name text, email text, age int, sex text)"
        )
        database.executemany("insert into person values (?, ?, ?, ?, ?)", people)
    database.close()
    return tmp_path


def entry(root: Path, name: str) -> dict:
    return yaml.safe_load((root / "params.yaml").read_text())["datasets"][name]


def content(root: Path) -> dict[str, bytes]:
    kept = (p for p in root.rglob("*") if p.is_file() and ".git/" not in str(p))
    return {str(p.relative_to(root)): p.read_bytes() for p in kept}


def test_a_file_becomes_a_dataset_with_its_gates(root, capsys):
    before = (root / "params.yaml").read_text()
    assert add("people.csv", root, name="people", target="sex") == 0
    assert (root / "params.yaml").read_text().startswith(before)
    added = entry(root, "people")
    assert added["source"] == {"type": "files", "path": "people.csv"}
    assert added["target"] == "sex"
    assert set(added["clean"]["personal"]) == {"name", "email"}
    check_settings(root, "people")
    for point in ("raw", "clean", "release"):
        path = root / "great_expectations" / "expectations" / f"people_{point}.json"
        assert load_suite(path)
    said = capsys.readouterr().out
    assert "120 rows, 5 columns" in said
    assert "proofmint run people" in said
    assert not list((root / ".proofmint").glob("draft-*"))


def test_no_personal_value_is_printed_or_written(root, capsys):
    add("people.csv", root, name="people")
    shown = capsys.readouterr().out
    rows = [line.split(",") for line in (root / "people.csv").read_text().splitlines()[1:]]
    written = b"".join(v for k, v in content(root).items() if not k.startswith("people."))
    for _, name, email, *_ in rows:
        assert name not in shown
        assert email not in shown
        assert name.encode() not in written
        assert email.encode() not in written


def test_a_database_by_url_without_a_password(root, capsys):
    assert add("people.sqlite", root, name="people", tables=["person"], target="sex") == 0
    assert entry(root, "people")["source"] == {
        "type": "sql",
        "connection": "PEOPLE_URL",
        "table": "person",
    }
    assert f"PEOPLE_URL=sqlite:///{root}/people.sqlite" in (root / ".proofmint/env").read_text()
    assert "key id" in capsys.readouterr().out


def test_a_password_is_stored_nowhere(root, demo_sources, capsys):
    secret = "only-for-this-test"
    url = sa.make_url(demo_sources.url).set(password=secret)
    add(
        url.render_as_string(hide_password=False),
        root,
        name="cells",
        tables=["breast_cancer"],
        target="diagnosis",
    )
    said = capsys.readouterr()
    assert secret not in said.out + said.err
    assert all(secret.encode() not in text for text in content(root).values())
    assert "set CELLS_URL" in said.out


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:s3cret@127.0.0.1:1/x.csv",
        "https://s3cret@127.0.0.1:1/x.csv",
        "https://127.0.0.1:1/x.csv?year=2020&token=s3cret",
        "https://127.0.0.1:1/x.csv?X-Amz-Expires=9&X-Amz-Signature=s3cret",
        "https://127.0.0.1:1/x.csv?sv=2020&sig=s3cret",
        "sftp://ann:s3cret@127.0.0.1/x.csv",
    ],
)
def test_a_url_of_files_with_a_secret_is_not_taken(root, url):
    before = content(root)
    with pytest.raises(ParamsError, match="holds a password or a key") as caught:
        add(url, root, name="web")
    assert "s3cret" not in str(caught.value)
    assert content(root) == before


def test_a_url_is_shown_without_its_secret(root):
    with pytest.raises(ParamsError, match=r"'http://h/x\.csv\?t=\*\*\*' is neither"):
        profile_source("http://ann:s3cret@h/x.csv?t=1", root, tables=["t"])


@pytest.mark.parametrize(
    ("url", "is_secret"),
    [
        ("postgresql://ann@h/d", False),
        ("postgresql://ann@h:5432/d?sslmode=require", False),
        ("postgresql://ann:pw@h/d", True),
        ("postgresql://ann:p/w?@h/d", True),
        ("postgresql://ann@h/d?password=pw", True),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dpw", True),
        ("kafka://h:9092,i:9092?security.protocol=SSL", False),
        ("kafka://ann:pw@h:9092,i:9092", True),
        ("kafka://h:9092?sasl.password=pw", True),
        ('{"conn_type": "http", "host": "http://h", "password": "pw"}', True),
    ],
)
def test_a_connection_that_seems_to_hold_a_secret_has_one(url, is_secret):
    assert Origin("tabular", {"type": "sql"}, ("X", url)).has_secret == is_secret


@pytest.mark.parametrize(
    "url",
    [
        "https://h:80/repo@1.0/x.csv?author=a&keyword=b",
        "s3://bucket/design:1/a@b.csv",
        "abfs://container@account.dfs.core.windows.net/x.csv",
    ],
)
def test_a_plain_url_of_files_has_no_secret(url):
    assert not Origin("tabular", {"type": "files", "path": url}).has_secret


def test_nothing_that_is_there_is_changed(root):
    before = content(root)
    with pytest.raises(ParamsError, match="has a dataset 'digits' already"):
        add("people.csv", root, name="digits")
    suite = root / "great_expectations" / "expectations" / "people_raw.json"
    suite.parent.mkdir(parents=True)
    suite.write_text("mine")
    with pytest.raises(ParamsError, match=r"people_raw\.json exist already"):
        add("people.csv", root, name="people")
    assert suite.read_text() == "mine"
    suite.unlink()
    assert content(root) == before


@pytest.mark.parametrize(
    ("given", "settings", "error", "message"),
    [
        ("poeple.csv", {}, SourceError, r"expected a file.*people\.csv"),
        ("NOWHERE", {}, SourceError, "no variable NOWHERE is set either"),
        ("people.csv", {"tables": ["t"]}, ParamsError, "--table and --query are for databases"),
        ("people.sqlite", {}, ParamsError, "a database needs --table"),
        ("people.sqlite", {"tables": ["persons"]}, SourceError, "person"),
        ("people.sqlite", {"tables": ["a"], "query": "select 1"}, ParamsError, "found both"),
        ("people.csv", {"target": "income"}, SourceError, "expected the target 'income'"),
        ("post gres://u@h", {"tables": ["t"]}, ParamsError, "expected a URL like"),
        ("postgresql://u@h:port/d", {"tables": ["t"]}, ParamsError, "expected a URL like"),
        ("mysql://u:p@[::1/db", {"tables": ["t"]}, ParamsError, "expected a URL like"),
        ("empty.csv", {}, SourceError, "empty"),
        ("few.csv", {}, DataError, "expected at least 20 rows"),
        ("people.csv", {"settings": ["delimiter"]}, ParamsError, "expected --set KEY=VALUE"),
        ("people.csv", {"settings": ["delimitr=;"]}, ParamsError, "delimitr: unknown key"),
        (".", {"name": "Big Name"}, ParamsError, "expected --name of small letters"),
        (".", {"name": "proofmint_maintenance"}, ParamsError, "and not proofmint_maintenance"),
        (".", {"name": "bills__2026"}, ParamsError, "that of a partition of 'bills'"),
        ("great_expectations", {}, ParamsError, "expected a folder of images"),
    ],
)
def test_faults_are_explained_and_leave_nothing(root, given, settings, error, message):
    (root / "empty.csv").write_text("")
    (root / "few.csv").write_text("a,b\n1,2\n3,4\n")
    (root / "great_expectations").mkdir()
    before = content(root)
    with pytest.raises(error, match=message):
        add(given, root, **({"name": "people"} | settings))
    assert content(root) == before


def test_settings_of_the_source_are_taken_and_written(root):
    params = root / "params.yaml"
    params.write_bytes(before := params.read_bytes().replace(b"\n", b"\r\n"))
    lines = (root / "people.csv").read_text().splitlines()[1:]
    (root / "bare.txt").write_text("\n".join(line.replace(",", "|") for line in lines))
    names = ["id", "who", "mail", "age", "sex"]
    add("bare.txt", root, name="bare", settings=[f"column_names={names}", "delimiter='|'"])
    assert entry(root, "bare")["source"]["column_names"] == names
    assert entry(root, "bare")["source"]["delimiter"] == "|"
    assert params.read_bytes().startswith(before)  # its ends of lines stay


def test_arrays_of_three_dimensions_are_images(root):
    pictures = np.zeros((30, 8, 8), np.uint8)
    np.savez(root / "scans.npz", x=pictures, y=np.arange(30) % 2)
    add("scans.npz", root, name="scans")
    assert (entry(root, "scans")["kind"], entry(root, "scans")["target"]) == ("image", "label")


def test_free_text_in_a_table_is_told(root, capsys):
    lines = [f"{i},{'ab'[i % 2]},come to the party no {i}" for i in range(60)]
    (root / "three.csv").write_text("id,label,text\n" + "\n".join(lines) + "\n")
    add("three.csv", root, name="three")
    assert "Free text (text) is not learned in a table" in capsys.readouterr().out


def test_a_file_of_labelled_texts_is_texts(root):
    lines = [f"{'spam' if i % 3 else 'ham'}\tcome to the party no {i}" for i in range(60)]
    (root / "sms.tsv").write_text("\n".join(lines) + "\n")
    add("sms.tsv", root, name="sms")
    added = entry(root, "sms")
    assert (added["kind"], added["target"], added["generator"]) == ("text", "label", "transformer")
    assert added["source"] == {
        "type": "text",
        "path": "sms.tsv",
        "column": "text",
        "files": {"delimiter": "\t", "column_names": ["label", "text"]},
    }
    check_settings(root, "sms")
    add("sms.tsv", root, name="table", settings=["kind=tabular"])
    assert entry(root, "table")["source"]["type"] == "files"
    assert entry(root, "table")["kind"] == "tabular"


def test_images_of_several_forms_become_alike(root, capsys):
    (root / "mixed").mkdir()
    for i in range(40):
        size = (8, 9) if i % 4 else (12, 12)
        Image.new("RGB" if i % 5 else "L", size, i).save(root / "mixed" / f"{i}.png")
    (root / "mixed" / "40.png").write_bytes(b"x")
    add("mixed", root, name="mixed", settings=["skip_unreadable=true"])
    assert entry(root, "mixed")["clean"] == {"images": {"size": [8, 9], "mode": "RGB"}}
    assert "differ in size and mode" in capsys.readouterr().out


def test_images_with_captions_and_labels_are_pairs(root):
    (root / "pairs").mkdir()
    rows = ["file_name,caption,shade"]
    for i in range(60):
        Image.new("L", (8, 8), i % 2 * 200 + i).save(root / "pairs" / f"{i}.png")
        rows.append(f"{i}.png,this one is {('dark', 'light')[i % 2]},{('dark', 'light')[i % 2]}")
    (root / "pairs" / "metadata.csv").write_text("\n".join(rows) + "\n")
    kind = "kind=multimodal"
    with pytest.raises(DataError, match="state `meanings` under `source`"):
        add("pairs", root, name="pairs", target="shade", settings=[kind])
    add("pairs", root, name="pairs", target="shade", settings=[kind, "meanings={caption: text}"])
    added = entry(root, "pairs")
    assert (added["kind"], added["generator"]) == ("multimodal", "paired")
    check_settings(root, "pairs")


def test_images_without_labels_have_no_target(root, capsys):
    (root / "loose").mkdir()
    for i in range(30):
        Image.new("L", (8, 8), i).save(root / "loose" / f"{i}.png")
    add("loose", root, name="loose")
    assert entry(root, "loose")["target"] is None
    (root / "loose" / "more").mkdir()
    Image.new("L", (8, 8)).save(root / "loose" / "more" / "x.png")
    with pytest.raises(SourceError, match="target: null"):
        profile_source("loose", root)
    assert profile_source("loose", root, settings=["target=null"]) == 0
    assert "31 rows" in capsys.readouterr().out
    (root / "digits-images-idx3-ubyte").write_bytes(
        b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (2, 4, 4)) + bytes(32)
    )
    assert profile_source("digits-images-idx3-ubyte", root) == 0


def test_a_profile_sets_nothing_up(root, capsys):
    before = content(root)
    assert profile_source("people.csv", root, target="sex") == 0
    assert content(root) == before
    lines = capsys.readouterr().out.splitlines()
    (age,) = (line for line in lines if line.strip().startswith("age"))
    assert age.split()[1:3] == ["int64", "numeric"]
    assert any(line.strip().startswith("sex *") for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "datasets:\n  a: {x: 1}",
        "# head\ndatasets:\n  a:\n    x: 1 # why\n\n  # tail of a\n",
        "datasets:\n    a:\n        x: 1\nother: 2\n",
        "datasets:\r\n  a:\r\n    x: 1\r\n\r\nother: 2\r\n",
        "other: 2\ndatasets:\n  a:\n    x: |\n      text\n\n# the end\nmore: [1]\n",
    ],
)
def test_an_entry_is_added_and_every_line_stays(text):
    changed = with_entry(text, "b", ENTRY)
    assert yaml.safe_load(changed)["datasets"]["b"] == ENTRY
    kept = iter(changed.splitlines())
    assert all(line in kept for line in text.splitlines())
    assert changed.count("\r\n") == (changed.count("\n") if "\r" in text else 0)


def test_datasets_in_one_line_are_not_laid_out_anew():
    with pytest.raises(ParamsError, match="add this entry by hand"):
        with_entry("datasets: {a: {x: 1}}", "b", ENTRY)
