"""The terms of the report, each explained in one sentence: on hover, in the section "Terms" and in docs/terms.md."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

TERMS = {
    "95 % interval": (
        "The range that contains the true value in 95 of 100 repetitions of the experiment. Over seeds: of the "
        "mean of all possible seeds (Student's t)."
    ),
    "Brier": (
        "Brier score: the mean squared distance between the predicted probabilities and the true class, from 0 "
        "(best) to 2."
    ),
    "Cochran's Q": (
        "A test of whether several networks differ at all in accuracy on the same images: McNemar's test for more "
        "than two."
    ),
    "confidence": "The probability that a network gives to the class it predicts.",
    "configuration": "All settings of a run but the seed. Runs that differ only in the seed are one configuration.",
    "confusion matrix": "The number of images of each true class (rows) for each predicted class (columns).",
    "detectable": (
        "The true difference that these seeds and images find with a probability of 80 %. Smaller ones are often "
        "missed."
    ),
    "ECE": (
        "Expected calibration error: the mean distance between confidence and accuracy over bins of confidence. 0 "
        "is perfect."
    ),
    "equivalent": (
        "The difference is smaller than a margin, by two one-sided tests. More than 'no difference was found'."
    ),
    "Holm": (
        "Holm's correction raises p-values according to the number of tests, so that all conclusions together hold "
        "at the 95 % level."
    ),
    "macro F1": "The mean over classes of F1, the harmonic mean of precision and recall.",
    "McNemar": (
        "McNemar's exact test compares two networks on the same images. It counts only the images that one of them "
        "classifies correctly and the other does not."
    ),
    "MFLOP": "Million floating-point operations of one image forward. A multiplication with an addition counts as two.",
    "nats": (
        "The unit of the loss: cross-entropy with the natural logarithm. ln 10 = 2.303 is guessing among ten classes."
    ),
    "not converged": (
        "The validation loss was lowest in the last epoch, and more than 2 % below that of all epochs before it: "
        "more epochs would probably help."
    ),
    "not resolved": (
        "Neither better nor equivalent: these seeds and test images are too few to say which of the two is better."
    ),
    "overfit": (
        "The validation loss of the last epoch is more than 10 % above its lowest, and the training loss fell in "
        "between. The reported numbers are those of the best epoch."
    ),
    "prediction interval": "The range that contains the result of one further run with a probability of 95 %.",
    "sampling SE": "Standard error of the test accuracy if the test images were drawn again, for one network.",
    "seed": "The number that fixes the random parts of a run: initial weights, order of images, dropout, augmentation.",
    "seed SD": "Standard deviation of the test accuracy over seeds.",
}
_ALTERNATIVES = "|".join(re.escape(str(escape(term))) for term in sorted(TERMS, key=len, reverse=True))
_PATTERN = re.compile(rf"(?<![\w-])({_ALTERNATIVES})(?!\w)", re.IGNORECASE)
_BY_LOWER = {str(escape(term)).lower(): term for term in TERMS}


def identifier(term: str) -> str:
    """Return the id of a term on the HTML page: ``term-cochran-s-q``."""
    return "term-" + re.sub(r"\W+", "-", term.lower()).strip("-")


def linked(text: str) -> Markup:
    """Return a text as HTML in which the first use of each term leads to its explanation and shows it on hover."""
    seen: set[str] = set()

    def link(found: re.Match[str]) -> str:
        term = _BY_LOWER[found[0].lower()]
        if term in seen:
            return found[0]
        seen.add(term)
        return f'<a class="term" href="#{identifier(term)}" title="{escape(TERMS[term])}">{found[0]}</a>'

    return Markup(_PATTERN.sub(link, str(escape(text))))  # only escaped text and the explanations above


def explanation(word: str) -> str | None:
    """Return the explanation of the term in the header of a column, or None."""
    found = _PATTERN.search(str(escape(word)))
    return TERMS[_BY_LOWER[found[0].lower()]] if found else None
