"""Why is ReLU better than other activations, and when is it not? The sentences and their evidence.

    flaxact reproduce summary

Nothing here is a result. Which conclusion is printed follows from the verdict of a sentence's primary
claim, and a name in braces stands for a measured interval.
"""

from flaxact.reproduction.answer import Headline, Ratio, Sentence

QUESTION = "Why is ReLU better than other activations, and when is it not?"
HEADLINE = (
    Headline(
        text="**Speed on all of CIFAR-10** (80sec net, 50,000 images): tanh needs "
        "{krizhevsky2012@full.several_80sec} times ReLU's epochs to 25% training error. Published: six "
        "times, for a net that is not named.",
        otherwise="**Speed on all of CIFAR-10** (80sec net, 50,000 images): being measured. In an "
        "earlier run of 10 epochs, whose rates were chosen on the same 3 seeds, tanh needs 3.51 "
        "[3.05, 4.04] times ReLU's epochs to 40% training error and 3.89 [3.33, 4.53] times to 38%.",
    ),
    Headline(
        text="**Number of images**: the ratio varies as n to the power of {data_size.exponent}. With "
        "3,000 images, half of the filters and 24 × 24 pixels it is "
        "{krizhevsky2012@reduced.several_80sec}.",
        otherwise="**Speed in a small setup** (3,000 images, half of the filters, 24 × 24 pixels): tanh "
        "needs {krizhevsky2012@reduced.several_80sec} times ReLU's epochs to 25% training error. How the "
        "ratio depends on the number of images is being measured.",
    ),
    Headline(
        text="**Zeros**: a share of {glorot2011.init} of a dense ReLU net's hidden outputs is zero at "
        "initialization. Points of test error per 0.1 of sparseness: {sparsity.trend}.",
        otherwise="**Zeros**: a share of {glorot2011.init} of a dense ReLU net's hidden outputs is zero "
        "at initialization.",
    ),
    Headline(
        text="**Gradients in 20 layers**, the first layer's over the last's: sigmoid with Xavier's "
        "weights {glorot2010.sigmoid_xavier}, tanh with Xavier's {glorot2010.tanh_xavier}, ReLU with "
        "He's {glorot2010.relu_he}.",
        otherwise="**Gradients in 20 layers**: not measured.",
    ),
    Headline(
        text="**Dead nets**: a share of {lu2019.width3} of 10-layer ReLU nets of width 3 is dead at "
        "initialization; of width 10 it is {lu2019.width10}.",
        otherwise="**Dead nets**: not measured.",
    ),
)
ABOUT = """This page is made by `flaxact reproduce summary` from the results on disk. Each sentence of the
usual answer has one primary claim. The sentence is answered *for* or *against* by that claim alone, and
stays *open* while the claim is undecided, not run, or tested only at another size than the published one.
The other claims are listed below it and do not vote. The range of a claim was written down before its
run, or the claim is marked *post hoc* and decides nothing. A claim is decided where its interval lies
inside or outside of that range. The tables show intervals of 95% confidence; within a family of claims
the verdict uses wider ones. Nothing corrects for the number of sentences. Intervals are over seeds at the
chosen learning rate; the uncertainty of that choice is not included.

The nets are `80sec`, `19pct` and `conv_local_13pct` of cuda-convnet (two or three convolutions), and
small nets that each page describes. `lecun_tanh` is LeCun's scaled tanh."""

RATIOS = (
    Ratio(
        claim="krizhevsky2012@full.several_80sec",
        label="tanh ÷ ReLU, 80sec",
        published=6.0,
        size="50,000 images",
    ),
    Ratio(
        claim="krizhevsky2012@full.several_19pct",
        label="tanh ÷ ReLU, 19pct",
        published=6.0,
        size="50,000 images",
    ),
    Ratio(
        claim="krizhevsky2012@full.several_conv_local_13pct",
        label="tanh ÷ ReLU, conv_local_13pct",
        published=6.0,
        size="50,000 images",
    ),
    Ratio(claim="krizhevsky2012@full.sigmoid", label="sigmoid ÷ ReLU, 80sec", size="50,000 images"),
    Ratio(claim="krizhevsky2012@full.leaky", label="leaky 1/3 ÷ ReLU, 80sec", size="50,000 images"),
    Ratio(claim="krizhevsky2012@full.elu", label="ELU ÷ ReLU, 80sec", size="50,000 images"),
    Ratio(
        claim="krizhevsky2012@reduced.several_80sec",
        label="tanh ÷ ReLU, half of 80sec",
        size="3,000 images",
    ),
    Ratio(
        claim="krizhevsky2012@reduced.several_19pct",
        label="tanh ÷ ReLU, half of 19pct",
        size="3,000 images",
    ),
    Ratio(
        claim="krizhevsky2012@reduced.several_conv_local_13pct",
        label="tanh ÷ ReLU, quarter of conv_local_13pct",
        size="3,000 images",
    ),
    Ratio(
        claim="sparsity@reduced.speed", label="leaky 1/3 ÷ ReLU, half of 80sec", size="3,000 images"
    ),
    Ratio(
        claim="pennington2017@reduced.sooner",
        label="ReLU ÷ orthogonal tanh, 50 layers",
        size="2,560 digits",
    ),
)

_NETS = ("80sec", "19pct", "conv_local_13pct")


def _all(paper: str, *keys: str) -> tuple[str, ...]:
    return tuple(f"{paper}.{key}" for key in keys)


SENTENCES = (
    Sentence(
        text="SGD trains ReLU nets several times faster than tanh nets.",
        primary="krizhevsky2012.several_80sec",
        conclusion={
            "for": "On all 50,000 images tanh needs {krizhevsky2012.several_80sec} times ReLU's epochs "
            "to 25% training error, each at its own best rate.",
            "against": "On all 50,000 images tanh needs {krizhevsky2012.several_80sec} times ReLU's "
            "epochs, each at its own best rate: less than twice as many.",
            "open": "Tanh needs {krizhevsky2012.several_80sec} times ReLU's epochs to 25% training "
            "error in the largest setup that was run. On all 50,000 images this is not decided.",
            "unmeasured": "The run on all 50,000 images is not complete.",
        },
        also=(
            *(f"krizhevsky2012.several_{net}" for net in _NETS[1:]),
            *(f"krizhevsky2012.six_{net}" for net in _NETS),
            *_all("krizhevsky2012", "sigmoid", "penalized", "lecun", "lsuv"),
            *_all("data_size", "exponent", "random", "old"),
            *_all("pennington2017", "sooner", "magnitude", "magnitude_tanh", "error", "shallow"),
            "mishkin2016.tanh",
            "mishkin2016.scaled",
        ),
        note="[An earlier run on all 50,000 images](../../docs/results/cifar10/results.md) was 10 epochs "
        "long: 3 seeds, on which the rates were chosen as well, and ReLU's best rate was the lowest "
        "tried. Tanh needs 3.51 [3.05, 4.04] times ReLU's epochs to 40% training error and 3.89 "
        "[3.33, 4.53] times to 38%. (Its page dates a running mean at the end of its epoch; these "
        "figures date it at the middle.)\n\n"
        "![Training error of ReLU and tanh on all 50,000 images, 10 epochs]"
        "(../../docs/results/cifar10/training_error.svg)",
    ),
    Sentence(
        text="Gradients vanish on their way back through layers of sigmoids.",
        primary="glorot2010.sigmoid_xavier",
        conclusion={
            "for": "With sigmoid and Xavier's weights the gradient at the first of 20 layers is "
            "{glorot2010.sigmoid_xavier} of that at the last. With tanh it is {glorot2010.tanh_xavier}, "
            "but {glorot2010.tanh_small} with weights of N(0, 0.01²): for tanh the scale of the weights "
            "decides. For ReLU too: {glorot2010.relu_he} with He's weights, {glorot2010.relu_small} with "
            "N(0, 0.01²).",
            "against": "With sigmoid and Xavier's weights the gradient at the first of 20 layers is "
            "{glorot2010.sigmoid_xavier} of that at the last, which is not as small as claimed.",
            "open": "With sigmoid and Xavier's weights the gradient at the first of 20 layers is "
            "{glorot2010.sigmoid_xavier} of that at the last.",
        },
        also=(
            *_all(
                "glorot2010", "sigmoid_he", "sigmoid_small", "tanh_xavier", "tanh_small", "relu_he"
            ),
            *_all("glorot2010", "relu_small", "saturation", "desaturation"),
            *(
                f"glorot2010.theory_{activation}_{weights}"
                for activation in ("sigmoid", "tanh", "relu")
                for weights in ("xavier", "he", "small")
            ),
        ),
    ),
    Sentence(
        text="ReLU's outputs are sparse.",
        primary="glorot2011.init",
        conclusion={
            "for": "In a dense net on MNIST a share of {glorot2011.init} of the hidden outputs is "
            "exactly zero at initialization, as symmetry demands. Training without a penalty changes "
            "it by "
            "{glorot2011.sparser_1}, {glorot2011.sparser_2} and {glorot2011.sparser_3} in its layers.",
            "against": "A share of {glorot2011.init} is exactly zero at initialization, not one half.",
            "open": "The share of zeros at initialization is {glorot2011.init}.",
        },
        also=_all("glorot2011", "sparser_1", "sparser_2", "sparser_3", "sparse"),
    ),
    Sentence(
        text="Sparsity is good for the net.",
        primary="sparsity.trend",
        conclusion={
            "for": "Over four slopes of leaky ReLU the test error changes by {sparsity.trend} points per "
            "0.1 of sparseness. (The slope also changes the gradient and the mean, so this is no proof "
            "of a cause.)",
            "against": "Over four slopes of leaky ReLU the test error changes by {sparsity.trend} points "
            "per 0.1 of sparseness: it does not fall.",
            "open": "Over four slopes of leaky ReLU the test error changes by {sparsity.trend} points "
            "per 0.1 of sparseness, which is not decided.",
        },
        also=(
            *_all("sparsity", "speed", "error_tenth"),
            *_all("glorot2011", "hard_zeros", "hard_zeros_learned", "kept", "as_good", "limit"),
        ),
    ),
    Sentence(
        text="ReLU is a threshold, where others need an exponential, and so it is cheaper.",
        primary="cost.alone_tanh",
        conclusion={
            "for": "Alone, on 2 CPU cores, a million numbers, tanh takes {cost.alone_tanh} times ReLU's "
            "time (in the run of 2026-11-25: of its gradient alone). A training step of a convolutional "
            "net takes {cost.step_tanh_convolutional} times as long with tanh.",
            "against": "Alone, on 2 CPU cores, tanh takes {cost.alone_tanh} times ReLU's time.",
            "open": "Alone, on 2 CPU cores, tanh takes {cost.alone_tanh} times ReLU's time.",
        },
        also=_all(
            "cost",
            "alone_elu",
            "alone_sigmoid",
            "elu_step",
            "step_tanh_dense",
            "step_sigmoid_dense",
            "step_tanh_convolutional",
            "step_sigmoid_convolutional",
        ),
        note="Nothing was measured on an accelerator, where an elementwise function is fused with what "
        "comes before it.",
    ),
    Sentence(
        text="ReLU's output is not zero-centered, which hurts.",
        primary="kinks.centering_published",
        conclusion={
            "for": "Subtracting the mean of what ReLU gives to each layer lowers the test error by "
            "{kinks.centering_published} points on a small net.",
            "against": "Subtracting the mean of what ReLU gives to each layer does not lower the test "
            "error of a small net: {kinks.centering_published} points.",
            "open": "Whether centering lowers the test error of a small net is not decided: "
            "{kinks.centering_published} points. Layers of ReLU are worse conditioned than centered "
            "ones, by a factor of {lecun1998.condition}; centered nets learn {lecun1998.speed} times as "
            "soon.",
            "unmeasured": "Whether centering lowers the test error has not been run yet. Layers of ReLU "
            "are worse conditioned than centered ones, by a factor of {lecun1998.condition}; centered "
            "nets learn {lecun1998.speed} times as soon.",
        },
        also=(
            *_all("kinks", "output_published", "kink_published", "place_published"),
            *_all("kinks", "interaction_published", "centering_biases", "output_biases"),
            *_all("kinks", "kink_biases", "place_biases", "interaction_biases", "check"),
            *_all("lecun1998", "speed", "condition", "layer_eigenvalue", "shift", "elu_condition"),
            *_all("lecun1998", "elu_speed", "slower", "eigenvalue", "steps", "pixels"),
            *_all("lecun1998", "pixels_eigenvalue", "pixels_size", "symmetric"),
            *_all("clevert2015", "median", "median_size", "varies", "shift", "shift_size"),
        ),
    ),
    Sentence(
        text="ReLU has a lower test error than leaky ReLU.",
        primary="sparsity.error_third",
        conclusion={
            "for": "Leaky ReLU with slope 1/3 has {sparsity.error_third} points more test error.",
            "against": "The test error of leaky ReLU with slope 1/3, less ReLU's, is "
            "{sparsity.error_third} points: ReLU is worse.",
            "open": "Leaky ReLU with slope 1/3 against ReLU: {sparsity.error_third} points more test "
            "error.",
        },
        also=(
            *_all("krizhevsky2012", "leaky", "elu"),
            *_all("clevert2015", "faster", "much_faster"),
            *_all("mishkin2016", "prelu", "elu", "softplus", "frelu", "even", "ranking"),
            *_all("he2015", "shared_first", "shared_deeper", "channel-wise_first"),
            "he2015.channel-wise_deeper",
        ),
    ),
    Sentence(
        text="Narrow, deep ReLU nets are often dead at initialization.",
        primary="lu2019.width3",
        conclusion={
            "for": "A share of {lu2019.width3} of 10-layer nets of width 3 is born dead (published: "
            "about 60%); of width 10 it is {lu2019.width10}.",
            "against": "A share of {lu2019.width3} of 10-layer nets of width 3 is born dead, not about "
            "60%.",
            "open": "A share of {lu2019.width3} of 10-layer nets of width 3 is born dead.",
        },
        also=_all(
            "lu2019",
            "bound",
            "width5",
            "width10",
            "collapse",
            "constant",
            "leaky_born",
            "elu_born",
            "leaky_collapse",
            "elu_collapse",
        ),
    ),
    Sentence(
        text="Initialization mends what is wrong with the scale of ReLU's outputs.",
        primary="he2015.he_layer",
        conclusion={
            "for": "With He's weights a rectifier layer multiplies the signal by {he2015.he_layer}, with "
            "Xavier's by {he2015.xavier_layer}.",
            "against": "With He's weights a rectifier layer multiplies the signal by {he2015.he_layer}, "
            "not by 1.",
            "open": "With He's weights a rectifier layer multiplies the signal by {he2015.he_layer}.",
        },
        also=(
            *_all("he2015", "stds", "factor", "backward", "xavier_layer", "leaves", "converges"),
            *_all("he2015", "stalls", "shallower"),
            *_all("pennington2017", "isometry", "gaussian", "relu", "theory"),
        ),
    ),
    Sentence(
        text="Batch normalization before the activation lowers the test error of sigmoid nets.",
        primary="ioffe2015.caffe_tuned",
        conclusion={
            "for": "Batch norm takes {ioffe2015.caffe_tuned} points off the test error of a sigmoid net "
            "for CIFAR-10, each at its own best rate (400 steps).",
            "against": "Batch norm does not lower the test error of a sigmoid net for CIFAR-10: "
            "{ioffe2015.caffe_tuned} points.",
            "open": "Batch norm changes the test error of a sigmoid net for CIFAR-10 by "
            "{ioffe2015.caffe_tuned} points.",
        },
        also=(
            *_all("ioffe2015", "dominates", "dominates_small", "higher", "steadier", "relative"),
            *_all("ioffe2015", "five_times", "caffe"),
            *_all("krizhevsky2012", "norm", "relu_norm"),
            *_all("norm_place", "after", "saturating_tanh", "saturating_sigmoid", "affine"),
            *_all("norm_place", "published_plain", "published_affine"),
            *_all("mishkin2016", "norm", "norm_affine", "norm_before"),
        ),
    ),
    Sentence(
        text="Dropout helps ReLU more than it helps tanh.",
        primary="dropout.interaction",
        conclusion={
            "for": "ReLU's advantage over tanh grows by {dropout.interaction} points with dropout of "
            "0.5.",
            "against": "In small nets ReLU's advantage over tanh shrinks with dropout of 0.5: it changes "
            "by {dropout.interaction} points. Dropout hurts both nets there, as they underfit.",
            "open": "Whether ReLU gains more from dropout than tanh is not decided: its advantage "
            "changes by {dropout.interaction} points.",
        },
        also=(
            *_all("dropout", "interaction_quarter", "interaction_sigmoid", "dead_relu"),
            *_all("dropout", "saturated_tanh", "saturated_sigmoid"),
            *(
                f"dropout.helps_{activation}_{rate}"
                for activation in ("relu", "tanh", "sigmoid")
                for rate in ("0.25", "0.5")
            ),
        ),
    ),
    Sentence(
        text="ReLU's output is unbounded, which hurts.",
        primary="bounded.error_6_float32",
        conclusion={
            "for": "ReLU capped at 6 has a test error {bounded.error_6_float32} points lower than "
            "ReLU's.",
            "against": "ReLU capped at 6 has a test error {bounded.error_6_float32} points lower than "
            "ReLU's; the number is negative, so it is higher.",
            "open": "With weights 10% too large, 50 layers multiply ReLU's mean square by "
            "{bounded.growth}, and ReLU6's by {bounded.cap}. Whether a cap at 6 lowers the test error is "
            "not decided: ReLU's less that of the capped copy is {bounded.error_6_float32} points.",
        },
        also=(
            *_all("bounded", "growth", "cap", "theory"),
            *(f"bounded.stable_{cap}_float32" for cap in (1, 2, 4, 6)),
            *(f"bounded.error_{cap}_float32" for cap in (1, 2, 4)),
            *(f"bounded.stable_{cap}_bfloat16" for cap in (1, 2, 4, 6)),
            *(f"bounded.error_{cap}_bfloat16" for cap in (1, 2, 4, 6)),
        ),
    ),
    Sentence(
        text="Without another nonlinearity the identity is no alternative: a stack of linear layers is "
        "one linear layer.",
        primary="identity.never_below",
        conclusion={
            "for": "Without pooling, the training loss of a deep net of identities ends "
            "{identity.never_below} nats above that of the best linear model, as theory demands; ReLU's "
            "ends {identity.relu} nats below. With max pooling the net of identities is a usable one: it "
            "ends {identity.pooling} nats below.",
            "against": "A deep net of identities fits its training images better than the best linear "
            "model: by {identity.never_below} nats.",
            "open": "The training loss of a deep net of identities less that of the best linear model: "
            "{identity.never_below} nats.",
        },
        also=(*_all("identity", "relu", "pooling"), "mishkin2016.pooling", "mishkin2016.identity"),
        note="That the stack is one matrix, to rounding and at any depth, is a test "
        "(`tests/test_propagation.py`).",
    ),
)
