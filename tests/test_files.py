"""Writing files, and the one line with which every command ends when something is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.errors import InputError, StorageError, printable
from mnist_zoo.files import storage_errors, write_atomically

ROOT = Path(__file__).parents[1]


class TestWriting:
    def test_the_content_is_replaced(self, tmp_path):
        path = tmp_path / "a.json"
        for content in ("text", b"bytes"):
            write_atomically(path, content)
            assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
        assert list(tmp_path.iterdir()) == [path] and path.stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
    @pytest.mark.parametrize(
        ("number", "line"),
        [(errno.ENOSPC, "No space left on device): free some space"), (errno.EROFS, "choose another folder")],
    )
    def test_a_failed_write_leaves_the_old_file_alone(self, tmp_path, monkeypatch, call, number, line):
        path = tmp_path / "a.json"
        write_atomically(path, "old")

        def fail(*arguments: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, call, fail)
        with pytest.raises(StorageError) as error:
            write_atomically(path, "new")
        assert str(error.value).startswith(f"cannot write {path} (") and str(error.value).endswith(line)
        assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]

    def test_only_regular_files_are_replaced(self, tmp_path):
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "folder").mkdir()
        (tmp_path / "device").symlink_to("/dev/null")
        for name in ("fifo", "folder", "device"):
            with pytest.raises(InputError, match=rf"cannot write .*{name}: it is not a regular file; choose another"):
                write_atomically(tmp_path / name, "x")
        assert Path("/dev/null").is_char_device()

    def test_a_symbolic_link_stays_a_link(self, tmp_path):
        (tmp_path / "file").write_text("old")
        (tmp_path / "link").symlink_to("file")
        write_atomically(tmp_path / "link", "new")
        assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"

    def test_an_error_of_a_library_that_writes_is_one_line(self, tmp_path):
        line = r"cannot write .*/no/file \(No such file or directory\): check this"
        with pytest.raises(StorageError, match=line), storage_errors("the plot"):
            (tmp_path / "no/file").write_text("")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä, 数字 +-=", "plain, ä, 数字 +-="),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[2J\x07 clears the screen", "\\x1b[2J\\x07 clears the screen"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        (7, "7"),
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown):
    assert printable(text) == shown


class TestCommand:
    @pytest.mark.parametrize(
        ("error", "status", "line"),
        [
            (InputError("lr=0: it must be above 0"), 1, "lr=0: it must be above 0"),
            (InputError("\x1b[31mred\nlines"), 1, "\\x1b[31mred lines"),
            (FileNotFoundError(2, "No such file", "x"), 1, "x: No such file"),
            (KeyboardInterrupt(), 130, "continue with the same command"),
            (KeyboardInterrupt("saved"), 130, "saved"),
        ],
    )
    def test_an_error_is_one_line_and_a_status(self, capsys, error, status, line):
        with pytest.raises(SystemExit, match=str(status)), one_line_errors("continue with the same command"):
            raise error
        assert capsys.readouterr().err == f"error: {line}\n"

    def test_a_mistake_of_ours_is_not_hidden(self):
        with pytest.raises(ZeroDivisionError), one_line_errors():
            raise ZeroDivisionError

    def test_a_word_that_no_option_takes_is_repeated_without_its_control_characters(self, capsys):
        with pytest.raises(SystemExit, match="2"):
            Parser(prog="x").parse_args(["a\nb\x1b[2J"])
        assert capsys.readouterr().err.endswith("x: error: unrecognized arguments: a b\\x1b[2J\n")

    def test_a_closed_pipe_is_no_error_message(self):
        code = "from mnist_zoo.command import one_line_errors\nwith one_line_errors():\n  print('x\\n' * 100_000)"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 1
        process.stderr.close()
