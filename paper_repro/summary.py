"""Why is ReLU better than other activations, and when is it not? The answer's sentences and their evidence.

    flaxact reproduce summary

Nothing here is a result: which way a claim speaks is decided by its reproduction.
"""

from flaxact.studies.evidence import Sentence

QUESTION = "Why is ReLU better than other activations, and when is it not?"
ABOUT = """This page is made by `flaxact reproduce summary` from the results on disk. Each sentence of the usual
answer is followed by the claims that bear on it, as papers make them or as they would have to hold, with our own
figures. A claim's accepted range was written down before its run; it is *reproduced* if the 95% interval over
seeds lies within, *not reproduced* if outside, and else *undecided*. A claim speaks *for* or *against* the
sentence, by its verdict; what a run leaves undecided is *open*. Most runs are of the reduced scale, made for two CPU cores:
small nets and part of the data, as each page says. They show directions; they don't replace the published sizes."""

SENTENCES = (
    Sentence(
        "ReLU does not saturate, so that SGD converges several times faster than with tanh or the sigmoid.",
    ),
)
