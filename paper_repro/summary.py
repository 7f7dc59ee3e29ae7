"""Why is ReLU better than other activations, and when is it not? The sentences and their evidence.

    flaxact reproduce summary

Nothing here is a result: which way a claim speaks is decided by its reproduction.
"""

from flaxact.studies.evidence import Sentence

QUESTION = "Why is ReLU better than other activations, and when is it not?"
ABOUT = """This page is made by `flaxact reproduce summary` from the results on disk. Each sentence of the
usual answer is followed by the claims that bear on it, as papers make them or as they would have to hold,
with our own figures. A claim's accepted range was written down before its run; it is *reproduced* if the
95% interval lies within, *not reproduced* if outside, and else *undecided*. By its verdict a claim speaks
*for* or *against* the sentence; what a run leaves undecided is *open*.

Most runs are of the reduced scale, made for two CPU cores: small nets and part of the data, as each page
says. They show directions, and don't replace the published sizes."""

_NETS = ("80sec", "conv_local_13pct", "19pct")

SENTENCES = (
    Sentence(
        "ReLU does not saturate, so that SGD converges several times faster than with tanh or sigmoid.",
        supports=(
            *(f"krizhevsky2012.several_{net}" for net in _NETS),
            *(f"krizhevsky2012.six_{net}" for net in _NETS),
            "krizhevsky2012.sigmoid", "mishkin2016.tanh",
        ),
        limits=(
            "krizhevsky2012.penalized", "krizhevsky2012.lecun", "krizhevsky2012.lsuv",
            "krizhevsky2012.norm", "krizhevsky2012.norm_tanh", "pennington2017.sooner",
            "pennington2017.magnitude", "pennington2017.error",
        ),
    ),
    Sentence(
        "Its outputs are sparse.",
        supports=("glorot2011.init", "glorot2011.sparser", "glorot2011.sparse"),
    ),
    Sentence(
        "And sparsity is good for it.",
        supports=("glorot2011.hard_zeros", "glorot2011.kept", "glorot2011.better", "glorot2011.as_good"),
        limits=("krizhevsky2012.leaky", "glorot2011.limit"),
    ),
    Sentence(
        "It is a threshold, where others need an exponential, and so it is cheaper.",
        supports=("cost.alone_elu", "cost.alone_tanh", "cost.alone_sigmoid", "cost.elu_step"),
        limits=(
            "cost.step_tanh_dense", "cost.step_sigmoid_dense", "cost.step_tanh_convolutional",
            "cost.step_sigmoid_convolutional",
        ),
        open="On an accelerator, where an element-wise function is fused with what is before it, nothing "
        "was measured yet.",
    ),
    Sentence(
        "But its output is not zero-centred, which hurts.",
        supports=(
            "lecun1998.eigenvalue", "lecun1998.steps", "lecun1998.slower", "lecun1998.pixels",
            "lecun1998.shift", "lecun1998.layer_eigenvalue", "lecun1998.condition",
            "lecun1998.elu_condition", "lecun1998.speed", "lecun1998.elu_speed", "clevert2015.median",
            "clevert2015.faster", "clevert2015.shift", "krizhevsky2012.centred",
        ),
    ),
    Sentence(
        "It is better than its relatives, leaky ReLU and ELU.",
        limits=(
            "krizhevsky2012.leaky", "krizhevsky2012.elu", "clevert2015.faster", "mishkin2016.prelu",
            "mishkin2016.elu", "mishkin2016.softplus", "mishkin2016.frelu", "mishkin2016.even",
            "he2015.shared_first", "he2015.channel-wise_first",
        ),
    ),
    Sentence(
        "It can die: a unit that gives 0 to every input learns no more.",
        supports=(
            "lu2019.bound", "lu2019.width3", "lu2019.width5", "lu2019.collapse", "lu2019.leaky_born",
            "lu2019.elu_born", "lu2019.leaky_collapse", "lu2019.elu_collapse",
        ),
        limits=("lu2019.width10",),
    ),
    Sentence(
        "Initialisation mends what is wrong with its scale, or with that of others.",
        supports=(
            "he2015.factor", "he2015.backward", "he2015.xavier_layer", "he2015.he_layer",
            "he2015.converges", "he2015.stalls", "krizhevsky2012.lsuv", "pennington2017.isometry",
            "pennington2017.magnitude_tanh",
        ),
        limits=("he2015.shallower", "pennington2017.relu"),
    ),
    Sentence(
        "Normalisation before the activation mends it, too, and most of all what saturates.",
        supports=(
            "ioffe2015.dominates", "ioffe2015.higher", "ioffe2015.steadier", "ioffe2015.caffe",
            "ioffe2015.caffe_tuned", "krizhevsky2012.norm", "mishkin2016.norm", "mishkin2016.even",
        ),
    ),
    Sentence(
        "Dropout mends it.",
        open="Not put to the test here. Mishkin et al. 2016 publish top-1 accuracies of .471, .497, .494 "
        "and .473 for dropout of .5, .3, .2 and .1 of the same ReLU net (in the authors' repository): "
        "how much of it, not with which activation.",
    ),
    Sentence(
        "Its output is unbounded, which hurts.",
        open="Not put to the test here: no reproduction compares ReLU with a bounded copy of itself.",
    ),
    Sentence(
        "The identity is no alternative, since a stack of linear layers is one linear layer.",
        supports=("krizhevsky2012.identity", "mishkin2016.pooling"),
        limits=("mishkin2016.identity",),
        open="That the stack is one matrix, to rounding and at any depth, is a test "
        "(`tests/test_propagation.py`).",
    ),
)  # fmt: skip
