"""The benchmark: its rounds, its arguments, its contenders, and the page that is written from its records.

Nothing here is timed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import data, gpu_carry, results
from benchmarks.__main__ import main
from benchmarks.contenders import synchronisations
from benchmarks.contenders.bare import compile_now
from benchmarks.contenders.checkout import COMPOSE_CONFIG, RUN, find
from benchmarks.contenders.networks import plain
from benchmarks.parts import PARTS, SELECTABLE, gpu, levers, start, throughput, versions
from benchmarks.rounds import BenchmarkFailed, Contender, Record, Spread, interleave, ratio
from benchmarks.settings import Settings
from benchmarks.tables import verdict
from benchmarks.turn import Missing
from mnist_zoo import MNISTDataModule, create_model
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.speed import OPTIMISATIONS

ROOT = Path(__file__).parents[1]
STUB = """
def main(turn, speed):
    print("what a contender prints is no answer")
    for epoch in range(1000):
        turn.wait()
        if speed == 0:
            raise ArithmeticError("the loss became NaN")
        turn.report(100, (100 / (speed * (epoch + 1)), 1.0), epoch=epoch)
"""


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "scratch").mkdir()
    return Settings(data_root=tmp_path, data="mnist5k", scratch=tmp_path / "scratch", rounds=3)


class TestRounds:
    def test_contenders_take_turns_and_the_warm_up_does_not_count(self, settings):
        contenders = [Contender(name, "stub", {"speed": speed}) for name, speed in (("a", 30.0), ("b", 10.0))]
        records = interleave("race", contenders, settings)
        turns = [(record["round"], record["contender"], record["epoch"]) for record in records]
        assert turns == [(0, "a", 1), (0, "b", 1), (1, "b", 2), (1, "a", 2), (2, "a", 3), (2, "b", 3)]
        over = ratio(records, "race", "a", "b")
        assert over and (over.median, over.low, over.high) == pytest.approx((3, 3, 3)), "ratios are within a round"

    def test_a_contender_that_fails_is_named(self, settings):
        with pytest.raises(BenchmarkFailed, match=r"^slow failed: ArithmeticError: the loss became NaN$"):
            interleave("race", [Contender("slow", "stub", {"speed": 0})], settings)

    def test_a_contender_that_fails_is_missing_where_that_is_tolerated(self, settings):
        contenders = [Contender(name, "stub", {"speed": speed}) for name, speed in (("slow", 0), ("b", 10.0))]
        records = interleave("race", contenders, settings, tolerant=True)
        assert [record["contender"] for record in records] == ["slow", "b", "b", "b"]
        assert records[0]["missing"] == "slow failed: ArithmeticError: the loss became NaN"

    @pytest.mark.skipif(find_spec("keras") is not None, reason="Keras is installed")
    def test_a_contender_that_is_not_installed_has_a_record_that_says_so(self, settings):
        options = {"model": "mlp", "batch_size": 64, "root": "data", "fraction": 1.0, "threads": 1}
        (record,) = interleave("mlp", [Contender("Keras fit", "benchmarks.contenders.keras_fit", options)], settings)
        assert "not installed" in record["missing"] and "pip install '" in record["missing"]

    def test_a_spread_reads_as_median_least_and_greatest(self):
        assert str(Spread.of([3.0, 1.0, 2.0])) == "2 [1, 3]"

    @pytest.mark.parametrize(
        ("values", "goals", "expected"),
        [
            ([1.0], {}, ""),
            ([0.8, 0.9, 1.0], {"least": 0.9}, ">= 0.9: reached"),
            ([0.8, 0.8, 1.0], {"least": 0.9}, ">= 0.9: missed"),
            ([1.0, 1.5, 9.0], {"most": 1.5}, "<= 1.5: reached"),
            ([1.0, 1.6, 9.0], {"most": 1.5}, "<= 1.5: missed"),
            ([], {"least": 8}, ">= 8: not measured"),
        ],
    )
    def test_a_goal_is_reached_by_the_median(self, values, goals, expected):
        assert verdict(Spread.of(values) if values else None, **goals) == expected


class TestCommand:
    def test_help_names_the_parts_and_does_not_import_torch(self):
        code = "import sys, benchmarks.__main__; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
        done = subprocess.run([sys.executable, "-m", "benchmarks", "--help"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and all(name in done.stdout for name in PARTS)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["scalling"], "unknown part 'scalling'; did you mean scaling?"),
            (["--rounds", "0"], "--rounds 0: it must be 1 or more"),
            (["--threads", "0"], "--threads 0: it must be 1 or more"),
            (["--render"], "has no results.json: measure a part first"),
            (["start", "--data-root", "/nowhere"], "has no file train-images-idx3-ubyte"),
            (["versions"], "versions compares two checkouts of the library: name the other one with --against DIR"),
            (["--against", "/nowhere"], "--against /nowhere is not a checkout of the library: it has no mnist_zoo/"),
            (["levers", "start", "--only", "mlp"], "--only does not apply to start: give parts of throughput, levers"),
            (
                ["gpu", "--device", "cpu"],
                "--device cpu is a trial of the part gpu, which measures nothing: give --quick",
            ),
            (["--only", "mlp"], "--only does not apply to accuracy"),
        ],
    )
    def test_invalid_arguments_are_answered_in_one_line(self, arguments, message, tmp_path, capsys):
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--out", str(tmp_path)])
        said = capsys.readouterr().err
        assert end.value.code == 1 and said.startswith("error: ") and message in said and said.count("\n") == 1

    @pytest.mark.parametrize(
        ("only", "quick", "expected"),
        [
            ((), False, [case.model for case in levers.CASES]),
            ((), True, ["cnn"]),
            (("cnn",), False, ["cnn", "cnn", "cnn"]),
            (("lenet5", "mlp"), True, ["mlp", "lenet5"]),
        ],
    )
    def test_only_selects_networks_and_quick_a_single_case(self, settings, only, quick, expected):
        settings.only, settings.quick = only, quick
        assert [case.model for case in settings.select(levers.CASES, levers.QUICK)] == expected

    def test_only_refuses_a_network_that_a_part_does_not_measure(self, settings):
        settings.only = ("cnn_droput",)
        with pytest.raises(InputError, match=r"unknown network of --only 'cnn_droput'; did you mean cnn_dropout?"):
            settings.select(levers.CASES)

    def test_paths_of_the_machine_are_not_recorded(self):
        given = ["levers", "--data-root", "/home/me", "--only", "cnn", "--out=/home/me", "--against", "../old"]
        assert results._public(given) == ["levers", "--only", "cnn"]


class TestContenders:
    @pytest.mark.parametrize("name", ["mlp", "cnn", "lenet5", "resnet18"])
    def test_a_tutorials_network_has_the_parameters_of_the_librarys(self, name):
        counts = [sorted(p.numel() for p in network.parameters()) for network in (plain(name), create_model(name))]
        assert counts[0] == counts[1]

    @pytest.mark.parametrize("part", [throughput, levers, versions], ids=lambda part: part.__name__)
    def test_every_network_that_is_measured_exists(self, part):
        known = {path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")}
        assert {case.model for case in part.CASES} <= known and all(0 < case.fraction <= 1 for case in part.CASES)

    def test_every_network_measured_on_a_gpu_exists_and_a_trial_has_every_kind_of_measurement(self):
        known = {path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")}
        special = {case.model for case in gpu.CASES if not case.batch_size}
        assert special == {gpu.CORRECT, gpu.WAITS, gpu.TOGETHER, gpu.STACKED}
        assert {case.model for case in gpu.CASES if case.batch_size} <= known
        assert special < {case.model for case in gpu.CASES[gpu.QUICK]}

    def test_every_optimisation_is_taken_out_of_some_network(self):
        measured = {name for case in levers.CASES for name in case.optimisations}
        assert measured == set(OPTIMISATIONS)

    def test_an_optimisation_is_taken_out_by_its_override(self, settings):
        case = levers.Case("cnn", 64, 0.25, ("fused", "patches"), everything=True)
        switched_off = {
            contender.name: compose_config(contender.options["overrides"])["speed"]["off"]
            for contender in levers.contenders(case, settings)
        }
        assert switched_off == {
            "this library": [],
            "fused": ["fused"],
            "patches": ["patches"],
            levers.EVERYTHING: ["all"],
        }

    def test_a_network_that_cannot_be_compiled_makes_its_contender_missing(self, monkeypatch):
        network, images = create_model("mlp"), torch.rand(5, 1, 28, 28)
        monkeypatch.setattr(network, "compile", lambda **_: network.register_forward_pre_hook(lambda *_: 1 / 0))
        with pytest.raises(Missing, match=r"^torch\.compile fails here: ZeroDivisionError: division by zero$"):
            compile_now(network, images, torch.arange(5), 2)

    @pytest.mark.slow
    def test_the_real_command_and_the_bare_loops_train_the_same_images(self, settings, tmp_path):
        settings.data_root, settings.quick, settings.rounds = data.root("mnist5k", tmp_path, tmp_path), True, 1
        case = throughput.Case("mlp", 64, 0.02, 0.02, {})
        records = interleave("mlp", throughput.contenders(case, settings), settings)
        images = {record["contender"]: record.get("images") for record in records}
        assert images[throughput.ZOO] == images[throughput.EAGER] == images[throughput.TUNED] == 1100

    @pytest.mark.slow
    def test_a_run_imports_nothing_heavy_beyond_lightning(self, settings):
        MNISTDataModule("mnist5k").setup()  # reading it for the first time on a machine imports pandas
        scratch = Path(settings.folder("start"))
        options = ["data=mnist5k", "trainer=cpu", "plugins=[benchmarks.first_step]", f"output_dir={scratch}"]
        start.python(settings, ["-m", "mnist_zoo", *options], modules=scratch / "step.json")
        found = start.imported(settings, scratch)
        assert "hydra" in found
        assert not {"torchvision", "scipy", "matplotlib", "sklearn", "pandas", "mlxtend", "IPython"} & found.keys()


# A library with the file names of 0.1.0, whose training is two calls of the benchmark's callback.
OLD_LIBRARY = {
    "__init__.py": "__version__ = '0.1.0'\n",
    "commandline.py": "def compose_config(overrides):\n    return {'overrides': overrides}\n",
    "train.py": """
from types import SimpleNamespace

def run(cfg, folder, *, resume=None, callbacks=()):
    trainer = SimpleNamespace(sanity_checking=False, datamodule=SimpleNamespace(labels=lambda split: range(77)))
    module = SimpleNamespace(device=SimpleNamespace(type="cpu"))
    assert cfg["overrides"][-1] == "epochs=1000000"
    while True:
        callbacks[0].on_train_epoch_start(trainer, module)
        callbacks[0].on_validation_start(trainer, module)
""",
}


class TestVersions:
    @pytest.mark.slow
    def test_a_contender_trains_with_the_library_of_its_checkout(self, settings, tmp_path):
        checkout = tmp_path / "old"
        (checkout / "mnist_zoo").mkdir(parents=True)
        for name, content in OLD_LIBRARY.items():
            (checkout / "mnist_zoo" / name).write_text(content)
        contender = versions.contender("old", versions.CASES[0], checkout, settings)
        assert [record["images"] for record in interleave("mlp", [contender], settings)] == [77, 77, 77]
        assert versions.describe(checkout) == "0.1.0"

    @pytest.mark.parametrize(
        ("files", "found"),
        [
            (("hydra_app/compose.py", "hydra_app/commandline.py"), "hydra_app.compose"),
            (("hydra_app/commandline.py",), "hydra_app.commandline"),
            (("commandline.py",), "commandline"),
        ],
    )
    def test_the_newest_name_of_a_function_is_used(self, tmp_path, monkeypatch, files, found):
        library = f"library_{len(found)}"  # a new name for each case: Python remembers what it imported
        for file in files:
            path = tmp_path / library / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("def compose_config(): ...\n")
        monkeypatch.syspath_prepend(tmp_path)
        modules = tuple(name.replace("mnist_zoo", library) for name in COMPOSE_CONFIG)
        assert find("compose_config", modules).__module__ == f"{library}.{found}"
        with pytest.raises(ImportError, match="no run in library_"):
            find("run", tuple(name.replace("mnist_zoo", library) for name in RUN))

    def test_an_import_that_fails_inside_a_checkout_is_not_taken_for_an_older_version(self, tmp_path, monkeypatch):
        (tmp_path / "newest.py").write_text("import no_such_dependency\n")
        (tmp_path / "oldest.py").write_text("run = None\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
            find("run", ("newest", "oldest"))

    def test_the_table_has_the_ratio_of_this_checkout_over_the_other(self):
        records: list[Record] = [
            {"group": versions.CHECKOUTS, "contender": versions.THIS, "version": "0.2.0, commit abc"},
            {"group": versions.CHECKOUTS, "contender": versions.OTHER, "version": "0.1.0"},
            *(record(versions.THIS, number, 1.0) for number in range(2)),
            *(record(versions.OTHER, number, seconds) for number, seconds in enumerate((1.1, 1.3))),
        ]
        text = "\n".join(versions.render(records))
        assert "this checkout (0.2.0, commit abc)" in text and "checkout (0.1.0)" in text
        assert "| mlp, batch 64 | 1,000 | 1.2 [1.1, 1.3] | 1.2 [1.1, 1.3] |" in text


def test_data_are_repeated_in_files_that_every_contender_reads(tmp_path):
    root = data.root("mnist5k", Path("nowhere"), tmp_path)
    more = data.repeated(root, 90_000, tmp_path / "more")
    module = MNISTDataModule("mnist", root=str(more), val_size=0.1)
    assert [sum(module.class_counts[split]) for split in ("train", "val", "test")] == [81_000, 9_000, 10_000]
    with pytest.raises(InputError, match=r"has no file train-images-idx3-ubyte: .*--data-root DIR, .*--data mnist5k"):
        data.root("mnist", tmp_path / "nowhere", tmp_path)


def measured(records: list[Record]) -> dict[str, Any]:
    """Return a part of results.json with these records."""
    about = {"processor": "a processor", "cores": 2, "threads": 1, "quick": False, "load": 0.1}
    about |= {"data": "mnist", "date": "2026-01-01", "versions": {"torch": "2.9"}, "command": "python -m benchmarks"}
    return about | {"minutes": 1.0, "records": records}


def record(contender: str, number: int, seconds: float, group: str = "mlp, batch 64") -> Record:
    """Return the record of a round in which 1,000 images took so long."""
    times = {"seconds": seconds, "cpu_seconds": seconds, "whole_seconds": 1.5 * seconds}
    return {"group": group, "contender": contender, "round": number, "images": 1000} | times


class TestPage:
    def test_the_page_and_the_plot_are_written_from_the_records_alone(self, tmp_path):
        speeds = {"this library": (1.0, 1.1), "bare loop, fused Adam": (0.95, 1.0), "the usual way": (7.0, 7.7)}
        records = [record(name, number, s) for name, both in speeds.items() for number, s in enumerate(both)]
        records.append({"group": "mlp, batch 64", "contender": "Keras fit", "missing": "not installed"})
        everything = {"throughput": measured(records)}
        (tmp_path / results.RAW).write_text(results.to_json(everything))
        assert json.loads((tmp_path / results.RAW).read_text()) == everything
        assert results.write(tmp_path) == [tmp_path / "results.md", tmp_path / "throughput.png"]
        page = (tmp_path / "results.md").read_text()
        assert page == results.render(everything)
        assert "| mlp, batch 64 | bare loop, fused Adam | 1,026 | 0.93 [0.909, 0.95] |" in page
        assert "threads per worker: 1, load at the start: 0.1, rounds: 2, MNIST. torch 2.9." in page
        assert ">= 0.9: reached" in page and ">= 8: missed" in page
        assert "| mlp, batch 64 | Keras fit | not installed |" in page
        assert "Not measured yet: levers, versions, precision, accuracy" in page
        assert (tmp_path / "throughput.png").stat().st_size > 10_000

    def test_an_optimisation_has_the_name_under_which_it_was_recorded(self):
        records = [record("this library", 0, 1.0), record("several steps a call", 0, 1.4)]
        assert "| mlp, batch 64 | several steps a call | 1.4 [1.4, 1.4] |" in results.render(
            {"levers": measured(records)}
        )

    def test_a_machine_without_a_gpu_has_a_page_that_says_so(self):
        page = results.render({"gpu": measured([gpu.NONE])})
        assert "No CUDA device: not measured." in page and "gpu.png" not in page

    def test_the_page_of_a_gpu_names_what_failed_and_what_is_missing(self):
        waits = {"steps": 86, **dict.fromkeys(synchronisations.WAITS, 1)}
        records: list[Record] = [
            {"group": "correct", "contender": "mlp", "round": 0, "passed": 1, "detail": "losses within 1e-06"},
            {
                "group": "correct",
                "contender": "cnn",
                "round": 0,
                "passed": 0,
                "detail": "Different: train_loss 3, not 2",
            },
            {"group": "correct", "contender": "resumed", "missing": "correct failed: out of memory"},
            {"group": "cnn, waits", "contender": "0.1", "round": 0} | waits,
            record(gpu.ZOO, 0, 1.0, "cnn, batch 512"),
            record(gpu.BARE, 0, 0.9, "cnn, batch 512"),
            {"group": "cnn, batch 512", "contender": gpu.CAPTURED, "missing": "no CUDA device"},
            record("1", 0, 1.0, "mlp, jobs"),
            {"group": "mlp, jobs", "contender": "4", "missing": "this library failed: out of memory"},
        ]
        page = results.render({"gpu": measured(records) | {"gpu": {"name": "H", "driver": "1", "cuda": "13"}}})
        assert "H, driver 1, CUDA 13" in page and "Checks passed: 1 of 3." in page
        assert "| cnn | **failed** | Different: train_loss 3, not 2 |" in page
        assert "| cnn, batch 512 | the same, captured as a CUDA graph | no CUDA device |" in page
        assert "| 0.9 [0.9, 0.9] | >= 0.95: missed |" in page and "| mlp | 4 | this library failed: out of" in page

    def test_the_checks_of_a_process_that_ends_go_on_in_a_new_one(self, settings, monkeypatch):
        class Process:
            """The process carries out its checks in turn; the one named "dies" ends it."""

            def __init__(self, contender, settings):
                self.names, self.answers = contender.options["names"], [{"ready": True}]

            def __enter__(self):
                return self

            def __exit__(self, *error):
                pass

            def go(self):
                name = self.names.pop(0)
                self.answers += [] if name == "dies" else [{"passed": 1, "detail": name}, {"ready": True}]

            def answer(self):
                if not self.answers:
                    raise BenchmarkFailed("killed")
                return self.answers.pop(0)

        monkeypatch.setattr(gpu, "Worker", Process)
        monkeypatch.setattr(gpu, "cores", lambda: 8)  # for two processes
        monkeypatch.setattr(gpu.correct, "checks", lambda *_: dict.fromkeys(["a", "b", "dies", "c", "d", "e", "f"]))
        found = {record["contender"]: record for record in gpu._correct(settings)}
        assert {*found} == {"a", "b", "c", "d", "e", "f", "dies"} and found["dies"]["missing"] == "killed"
        assert all(record["detail"] == name for name, record in found.items() if name != "dies")

    def test_records_that_come_one_by_one_are_written_at_once_and_merged(self, settings, tmp_path, monkeypatch):
        def part(*groups):
            def measure(settings):
                for group in groups:
                    if group == "broken":
                        raise BenchmarkFailed("it broke")
                    yield {"group": group, "contender": "a", "round": 0, "value": len(groups)}

            monkeypatch.setattr(gpu, "measure", measure)

        def values():
            everything = json.loads((tmp_path / results.RAW).read_text())
            return {record["group"]: record["value"] for record in everything["gpu"]["records"]}

        part("mlp", "cnn", "broken")
        with pytest.raises(BenchmarkFailed):
            results.measure("gpu", settings, tmp_path)
        assert values() == {"mlp": 3, "cnn": 3}
        part("cnn")
        settings.only = ("cnn",)
        results.measure("gpu", settings, tmp_path)
        assert values() == {"mlp": 3, "cnn": 1}

    def test_the_repositorys_page_is_that_of_its_records(self):
        raw = ROOT / "benchmarks" / results.RAW
        page = (ROOT / "benchmarks" / results.PAGE).read_text()
        assert results.render(json.loads(raw.read_text())) == page, "run python -m benchmarks --render"


@pytest.mark.parametrize("name", PARTS)
def test_a_part_has_what_the_page_and_the_command_need(name):
    part = results.load(name)
    assert part.TITLE and callable(part.measure) and callable(part.render)
    assert hasattr(part, "CASES") or name not in SELECTABLE, "--only selects among the cases"


class TestCarry:
    """What a machine without a network needs. pip itself is replaced: it would need one."""

    @pytest.fixture
    def pip(self, monkeypatch):
        calls = []

        def called(*arguments):
            calls.append(arguments)
            if arguments[0] == "wheel":
                folder = Path(arguments[arguments.index("--wheel-dir") + 1])
                folder.mkdir()
                (folder / "hydra_core-1.whl").touch()

        monkeypatch.setattr(gpu_carry, "_pip", called)
        return calls

    def test_what_is_packed_is_unpacked_without_a_network(self, tmp_path, pip):
        source = data.write(
            tuple(np.full((3, *shape), 7) for shape in ((2, 2), (), (2, 2), ())), 3, 3, tmp_path / "data"
        )
        (tmp_path / "carry").mkdir()
        gpu_carry.main(["pack", str(tmp_path / "carry"), "--data-root", str(source)])
        gpu_carry.main(["unpack", str(tmp_path / "carry")])
        (_, *given), (_, *installed) = pip
        assert any(word.startswith("antlr4-python3-runtime==4.9") for word in given) and "--no-deps" in given
        assert "--no-index" in installed and installed[-1].endswith("hydra_core-1.whl")
        for name in data.FILES:
            written = tmp_path / "carry" / "data" / "MNIST" / "raw" / name
            assert written.read_bytes() == (source / "MNIST" / "raw" / name).read_bytes()

    @pytest.mark.parametrize(
        ("action", "message"),
        [("pack", "has no file train-images-idx3-ubyte"), ("unpack", "has no wheels, or not all")],
    )
    def test_what_is_missing_is_named_in_one_line(self, tmp_path, capsys, action, message):
        with pytest.raises(SystemExit):
            gpu_carry.main([action, str(tmp_path), "--data-root", str(tmp_path)])
        said = capsys.readouterr().err
        assert said.startswith("error: ") and message in said and said.count("\n") == 1
