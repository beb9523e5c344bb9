"""A data directory of an older form is brought up to date and can go back; a newer one is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from ruche.storage import datafiles, frames, upgrade
from ruche.storage.errors import ConfigurationError, IntegrityError, NotFound
from ruche.storage.model.record import EpisodeKept
from ruche.storage.platform import Disk
from ruche.storage.upgrade import FORMAT
from tests.storage.conftest import Opener
from tests.storage.records import Conversation
from tests.storage.talks import SMALL


def newer_engine(monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    """An engine of a form two later, with a step from each form to the next."""
    def one_to_two(directory: Path) -> None:
        log.append("1 to 2")
        path = directory / "log" / "checkpoints"
        Disk().write_atomically(path, path.read_bytes())

    def bring(directory: Path, disk: Disk) -> None:
        upgrade.bring_up_to_date(directory, disk, form=FORMAT + 2, steps={
            FORMAT: one_to_two, FORMAT + 1: lambda directory: log.append("2 to 3")})

    monkeypatch.setattr(datafiles, "bring_up_to_date", bring)


def test_a_new_directory_says_which_form_it_has(open_store: Opener, tmp_path: Path) -> None:
    open_store().close()
    assert (tmp_path / "data" / "format").read_text() == f"{FORMAT}\n"


def test_an_older_directory_is_upgraded_once_and_goes_back_as_it_was(open_store: Opener, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    store, talk, log = open_store(limits=SMALL), Conversation(), list[str]()
    store.append([talk.turn("words " * 40) for _ in range(30)])
    store.close()
    newer_engine(monkeypatch, log)
    again = open_store(limits=SMALL)
    for _ in range(30):
        again.append([talk.turn("words " * 40)])
        again.apply()
    again.close()
    open_store(limits=SMALL).close()
    assert log == ["1 to 2", "2 to 3"]
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match="newer version"):
        open_store()
    assert upgrade.roll_back(tmp_path / "data") == FORMAT
    assert open_store().tenant("acme").verify_session("s1") == ("s1", 30, ())
    assert (tmp_path / "data.upgraded" / "format").read_text() == f"{FORMAT + 2}\n"
    with pytest.raises(NotFound):
        upgrade.roll_back(tmp_path / "other")


def test_a_directory_of_the_first_form_opens_gets_its_new_tables_and_goes_back(open_store: Opener,
                                                                              tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(5)])
    store.close()
    with duckdb.connect(str(tmp_path / "data" / "tables.duckdb")) as connection:
        connection.execute("DROP TABLE episodes")
    (tmp_path / "data" / "format").write_text("1\n")
    again = open_store()
    assert again.tenant("acme").verify_session("s1") == ("s1", 5, ())
    again.append([EpisodeKept(tenant="acme", at_ms=1, kind="episode", id="e", interlocutor="ada", body=b"{}")])
    again.apply()
    assert again.tenant("acme").episode("episode", "e") is not None
    again.close()
    assert (tmp_path / "data" / "format").read_text() == f"{FORMAT}\n"
    assert upgrade.roll_back(tmp_path / "data") == 1
    assert upgrade.form_of(tmp_path / "data") == 1
    assert open_store().tenant("acme").verify_session("s1") == ("s1", 5, ())


def test_an_upgrade_that_was_killed_begins_again_with_the_first_copy(open_store: Opener, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(5)])
    store.close()

    def killed(directory: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upgrade.bring_up_to_date(tmp_path / "data", Disk(), form=FORMAT + 1, steps={FORMAT: killed})
    assert upgrade.form_of(tmp_path / "data") == FORMAT
    upgrade.bring_up_to_date(tmp_path / "data", Disk(), form=FORMAT + 1, steps={FORMAT: lambda directory: None})
    upgrade.roll_back(tmp_path / "data")
    assert open_store().tenant("acme").verify_session("s1") == ("s1", 5, ())


def test_a_damaged_form_or_a_second_way_back_is_refused(open_store: Opener, tmp_path: Path) -> None:
    open_store().close()
    upgrade.bring_up_to_date(tmp_path / "data", Disk(), form=FORMAT + 1, steps={FORMAT: lambda directory: None})
    (tmp_path / "data.upgraded").mkdir()
    with pytest.raises(ConfigurationError, match="move it away"):
        upgrade.roll_back(tmp_path / "data")
    for text in ("two\n", "0\n", ""):
        (tmp_path / "data" / "format").write_text(text)
        with pytest.raises(IntegrityError, match="form"):
            open_store()


@pytest.mark.parametrize("folder", ["journal", "keys"])
def test_a_file_of_a_newer_format_is_refused_in_words(open_store: Opener, tmp_path: Path, folder: str,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn()])
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    path = next(one for one in (tmp_path / "copy" / folder).iterdir() if one.suffix == ".seg" or one.name == "keyring")
    content = path.read_bytes()
    with monkeypatch.context() as newer:
        newer.setattr(frames, "_FILE", b"RUCHE09")
        header = frames.header(content[7:8], content[8:24], 1, content[24:32])
    path.write_bytes(header + content[frames.HEADER.size:])
    with pytest.raises(ConfigurationError, match="newer version"):
        open_store(tmp_path / "copy")
