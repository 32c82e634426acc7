"""The demo's sources hold what scikit-learn bundles, and filling them twice changes nothing."""

import stat
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from sklearn.datasets import load_digits

from tasks.commands import demo_source
from tasks.commands.postgres import PostgresServer
from tasks.storage import digest
from tests.conftest import DemoSource


def engine(url: str) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool)


def test_the_table_has_the_columns_types_and_key_of_the_wisconsin_data(
    demo_sources: DemoSource,
) -> None:
    found = sa.inspect(engine(demo_sources.url))
    columns = found.get_columns("breast_cancer")
    assert len(columns) == 32
    assert [column["name"] for column in columns][:3] == ["id", "mean_radius", "mean_texture"]
    assert columns[-1]["name"] == "diagnosis"
    assert {type(column["type"]) for column in columns[1:-1]} == {sa.DOUBLE_PRECISION}
    assert not any(column["nullable"] for column in columns)
    assert found.get_pk_constraint("breast_cancer")["constrained_columns"] == ["id"]


def test_the_rows_are_those_of_the_wisconsin_data(demo_sources: DemoSource) -> None:
    with engine(demo_sources.url).connect() as connection:
        counts = connection.execute(
            sa.text("SELECT diagnosis, count(*) FROM breast_cancer GROUP BY 1 ORDER BY 1")
        ).all()
        first = connection.execute(
            sa.text("SELECT id, mean_radius, worst_fractal_dimension, diagnosis FROM breast_cancer")
        ).first()
    assert counts == [("benign", 357), ("malignant", 212)]  # as the data's own description says
    assert first == (1, 17.99, 0.1189, "malignant")  # first line of the original file


def test_the_pipelines_role_cannot_write(demo_sources: DemoSource) -> None:
    with (
        engine(demo_sources.url).connect() as connection,
        pytest.raises(sa.exc.ProgrammingError, match="permission denied"),
    ):
        connection.execute(sa.text("DELETE FROM breast_cancer"))


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM breast_cancer WHERE id = 7",
        "UPDATE breast_cancer SET mean_radius = 0 WHERE id = 7",
        "ALTER TABLE breast_cancer RENAME COLUMN mean_radius TO radius",
        "ALTER TABLE breast_cancer ALTER COLUMN diagnosis DROP NOT NULL",
        "DROP TABLE breast_cancer",
    ],
)
def test_a_changed_table_is_filled_again(
    postgres_server: PostgresServer, demo_sources: DemoSource, damage: str
) -> None:
    rows = sa.text("SELECT * FROM breast_cancer ORDER BY id")
    with engine(demo_sources.url).connect() as connection:
        before = connection.execute(rows).all()
    with engine(demo_sources.owner_url).begin() as connection:
        connection.execute(sa.text(damage))
    assert demo_source.fill(postgres_server) == demo_sources.url
    with engine(demo_sources.url).connect() as connection:
        assert connection.execute(rows).all() == before


def test_an_unchanged_table_is_left_alone(
    postgres_server: PostgresServer, demo_sources: DemoSource
) -> None:
    # The identity of a table changes when it is made anew.
    identity = sa.text("SELECT 'breast_cancer'::regclass::oid")
    with engine(demo_sources.url).connect() as connection:
        before = connection.execute(identity).scalar()
    demo_source.fill(postgres_server)
    with engine(demo_sources.url).connect() as connection:
        assert connection.execute(identity).scalar() == before


def test_the_images_are_the_digits(demo_sources: DemoSource) -> None:
    files = sorted(demo_sources.digits.rglob("*.png"), key=lambda path: path.name)
    bunch = load_digits()
    assert len(files) == 1797
    assert [int(path.parent.name) for path in files] == bunch.target.tolist()
    with Image.open(files[0]) as image:
        assert (image.mode, image.size) == ("L", (8, 8))
        # First row of the first digit: 0 0 5 13 9 1 0 0; times 255 / 16, rounded.
        assert np.asarray(image)[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_the_images_are_the_same_bytes_every_time_and_mended_if_not(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    demo_source.write_digits(folder)
    before, inode = digest(folder), folder.stat().st_ino
    demo_source.write_digits(folder)
    assert folder.stat().st_ino == inode  # nothing was written
    (folder / "3" / "9999.png").write_bytes(b"stray")
    (folder / "0" / "0000.png").unlink()
    demo_source.write_digits(folder)
    assert digest(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_a_variable_is_set_beside_others_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    place = tmp_path / "env"
    place.write_text("OTHER=1=2\nPROOFMINT_DEMO=old\nLAST=x\n", encoding="utf-8")
    place.chmod(0o644)
    demo_source.set_variable(tmp_path, "PROOFMINT_DEMO", "new")
    assert place.read_text(encoding="utf-8") == "OTHER=1=2\nLAST=x\nPROOFMINT_DEMO=new\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert demo_source.variables(tmp_path) == ["OTHER", "LAST", "PROOFMINT_DEMO"]
    assert demo_source.variables(tmp_path / "none") == []


def test_start_and_stop_are_told_and_may_be_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROOFMINT_HOME", raising=False)
    try:
        assert demo_source.start(tmp_path) == demo_source.start(tmp_path) == 0
        url = (tmp_path / ".proofmint" / "env").read_text().strip().partition("=")[2]
        with engine(url).connect() as connection:
            count = connection.execute(sa.text("SELECT count(*) FROM breast_cancer")).scalar()
        assert count == 569
        assert (tmp_path / ".proofmint" / "demo" / "digits" / "0" / "0000.png").exists()
    finally:
        assert demo_source.stop(tmp_path) == demo_source.stop(tmp_path) == 0
    assert "was not running" in capsys.readouterr().out
