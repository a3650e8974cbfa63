"""``python -m mnist_zoo.evaluate``: measure finished runs beyond their accuracy."""

from __future__ import annotations

from mnist_zoo.command import Parser, one_line_errors, path_of
from mnist_zoo.waiting import loading_torch


def main(arguments: list[str] | None = None) -> None:
    """Measure networks; exit with status 1 if the request is invalid or a source cannot be measured."""
    chosen = _parser().parse_intermixed_args(arguments)
    with one_line_errors("interrupted; what was measured is kept, the same command continues"):
        chosen.out, chosen.data_root = path_of("--out", chosen.out), path_of("--data-root", chosen.data_root)
        with loading_torch("evaluate"):
            from mnist_zoo.robustness.command import evaluate_sources, parse_options  # after parsing: it imports torch
        from mnist_zoo.hydra_app.other_data import loader_of, split_words
        from mnist_zoo.plugins import import_plugin

        for plugin in chosen.plugin:
            import_plugin(plugin)
        sources, words = split_words(chosen.sources)
        common = {name: getattr(chosen, name) for name in ("images", "split", "seed")}
        how = {name: getattr(chosen, name) for name in ("device", "force", "together", "out", "data_root")}
        evaluate_sources(
            sources,
            [name.strip() for name in chosen.on.split(",") if name.strip()],
            options=parse_options(chosen.set),
            common={name: value for name, value in common.items() if value is not None},
            other=loader_of(words, chosen.data_root),
            **how,
        )


def _parser() -> Parser:
    parser = Parser(
        prog="python -m mnist_zoo.evaluate",
        description="Measure networks under attacks and on changed images. Results go into the run folders; what is "
        "already measured with the same settings and weights is skipped.",
    )
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help="run folders, sweeps, checkpoints, .safetensors files, names with "
        "shipped weights; data=NAME: on another data set of the same classes")  # fmt: skip
    add("--on", default="clean,fgsm,pgd", metavar="TESTS", help="names with commas (default: clean,fgsm,pgd); "
        "docs/robustness.md describes each")  # fmt: skip
    add("--images", type=int, metavar="N", help="the first N images (default: all; attacks 1,000)")
    add("--split", choices=("test", "val"), help="default: test; val to choose a recipe")
    add("--seed", type=int, help="of everything random in the tests (default: 0)")
    add("--set", action="append", default=[], metavar="TEST.OPTION=VALUE", help="an option of a test: pgd.steps=50")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--force", action="store_true", help="measure again what is already measured")
    add("--ensemble", dest="together", action="store_true", help="measure the ensemble of all sources instead of each")
    add("--out", metavar="DIR", help="keep the results there instead of in the run folders")
    add("--data-root", metavar="DIR", help="folder of the images of the runs (default: data)")
    add("--plugin", action="append", default=[], metavar="MODULE", help="import this module, which registers networks")
    return parser


if __name__ == "__main__":
    main()
