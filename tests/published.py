"""Parameters of every model, as published or as counted layer by layer from the published description.

A number here is never taken from flaxact's own output; the comment says where it comes from.
"""

# By spec text: (number of parameters, number of sites of an activation).
PUBLISHED = {
    # Counted from the layer files; 145,578 and 89,578 are also what Caffe's cifar10_quick and
    # cifar10_full, made after them, have.
    "cuda_convnet": (145_578, 4),
    "cuda_convnet(variant=80sec)": (145_578, 4),
    "cuda_convnet(variant=18pct)": (89_578, 3),
    "cuda_convnet(variant=19pct)": (89_578, 3),
}
