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
    # From the layer files: 4864, 102,464; 64 places of 576·32 + 32 and of 288·32 + 32; 20,490.
    "cuda_convnet(variant=conv_local_13pct)": (1_901_386, 4),
    # The same two; 64 places of 576·64 + 64 and of 576·32 + 32; 20,490.
    "cuda_convnet(variant=conv_local_11pct)": (3_672_906, 4),
    # Caffe's bvlc_alexnet has as many; 60 million in the paper. By hand: 34,944, 307,456, 885,120,
    # 663,936, 442,624; 37,752,832, 16,781,312, 4,097,000.
    "alexnet": (60_965_224, 7),
    # torchvision's documentation. By hand, in both variants: 23,296, 307,392, 663,936, 884,992, 590,080;
    # the same dense layers.
    "alexnet_one_weird_trick": (61_100_840, 7),
    "alexnet_torchvision": (61_100_840, 7),
    "alexnet_cuda_convnet2": (61_100_840, 7),
    # AlexNet's convolutions; 4,720,640, 4,196,352, 2,049,000. Strided: 8,390,656 in place of the first.
    "caffenet128": (13_300_072, 7),
    "caffenet128(pooling=stride)": (16_970_088, 7),
    # 3·3·3·96 in place of 11·11·3·96, and of 128 × 128 pixels 15·15·256 inputs to the first dense layer.
    "caffenet128(first=3x3)": (126_514_024, 7),
    # By hand: 784·1000 + 1000 + 2·(1000·1000 + 1000) + 10·1000 + 10.
    "mlp": (2_797_010, 3),
    "mlp_glorot": (2_797_010, 3),
    # 784·128 + 128 + 7·(128·128 + 128) + 1290.
    "mlp_elu": (217_354, 8),
    "mlp_gelu": (217_354, 8),
    # 784·100 + 2·100·100 weights, no biases but a scale and a bias for each of 300 units, 1010.
    "mlp_bn": (100_010, 3),
    "mlp_bn(norm=none)": (99_710, 3),  # 300 biases
    # Depth · (784·784 + 784) + 7850.
    "mlp_selu8": (4_931_370, 8),
    "mlp_selu16": (9_854_890, 16),
    "mlp_selu32": (19_701_930, 32),
    # He et al. 2016, table 6: 0.27 and 0.85 million. By hand: kernels 432, 6·2304, 4608 + 5·9216 and
    # 18,432 + 5·36,864; 1376 scales and biases; 650. Projections: 512 + 2048 and 192 more.
    "resnet": (269_722, 19),
    "resnet20": (269_722, 19),
    "resnet20(shortcut=projected)": (272_474, 19),
    "resnet56": (853_018, 55),  # 432, 18·2304, 4608 + 17·9216, 18,432 + 17·36,864; 4064; 650
    # torchvision's documentation.
    "resnet18": (11_689_512, 17),
    "resnet50": (25_557_032, 49),
    # A gain and a bias for each channel where the ResNet with projections has a scale and a bias, and
    # a factor for each of 9 and 16 blocks. timm has 25.56 and 16.00 million for the last two.
    "nf_resnet": (272_483, 19),
    "nf_resnet20": (272_483, 19),
    "nf_resnet50": (25_557_048, 49),
    # Kernels: 9408, 35·64², 40·(128² + 256² + 512²); 2·(64 + 16·960) gains and biases; 2,049,000; 8.
    "nf_resnet26": (15_995_184, 25),
    # timm's and DeiT's "tiny", 5.7 million in Touvron et al. 2021, table 1. By hand: patches 147,648,
    # token and positions 192·198, 12 blocks of 444,864, 384, 193,000.
    "vit_tiny_224": (5_717_416, 12),
    "vit_tiny": (5_362_762, 12),  # patches 9408, 192·66, the same blocks, 384, 1930
    # timm's mixer_s16_224; 18 million in Tolstikhin et al. 2021, table 1.
    "mlp_mixer_s16": (18_528_264, 16),
    # Patches 9408, 8 blocks of 768 + 2·64·96 + 160 + 2·192·768 + 960, 384, 1930.
    "mlp_mixer_tiny": (2_484_426, 16),
    # C1 156, C3 2416, C5 48,120, F6 10,164, output 850.
    "lenet5": (61_706, 4),
    "lenet": (61_706, 4),
    # Counted from the authors' layer file: kernels 14,400, 30,720, 15,360, 460,800, 2·36,864, 331,776,
    # 36,864, 1920; 1418 biases.
    "network_in_network": (966_986, 9),
    "nin": (966_986, 9),
    "network_in_network(second_pool=max)": (966_986, 9),
    # 2688, 2·83,040, 166,080, 3·331,968, then 37,056 once and twice, 1930.
    "all_cnn_c": (1_369_738, 9),
    "conv_pool_cnn_c": (1_406_794, 9),
    # A scale and a bias for each of 3·96 + 6·192 maps and 10 logits; a factor for as many.
    "conv_pool_cnn_c(norm=batch)": (1_409_694, 9),
    "conv_pool_cnn_c(norm=weight)": (1_408_244, 9),
    # torchvision's documentation.
    "vgg": (138_357_544, 15),
    "vgg11": (132_863_336, 10),
    "vgg13": (133_047_848, 12),
    "vgg16": (138_357_544, 15),
    "vgg19": (143_667_240, 18),
    "vgg11_bn": (132_868_840, 10),
    "vgg13_bn": (133_053_736, 12),
    "vgg16_bn": (138_365_992, 15),
    "vgg19_bn": (143_678_248, 18),
    # Counted from the authors' Caffe file: 896, 2·9248, 13,872, 20,784; 34,640, 5·57,680; 92,288,
    # 5·147,584; 64,500; 5010.
    "fitnet4": (1_276_806, 18),
    # A fire module from i to o maps with s between: i·s + 5·s·o weights, s + o biases, twice as many of
    # normalization. 12,208, 12,720, 45,920, 50,016, 105,744, 111,888, 190,144, 198,336; 2880; 5130.
    "squeezenet_bn": (734_986, 25),
    # 864, 18,432, 73,728 (no biases), 1,049,088, 51,300.
    "small_net": (1_193_412, 4),
    # 14,592; 37,056, 414,960; 57,840, 249,860; 67,860, 291,480; 78,680, 336,300; 90,300; 30,100.
    "elu_net": (1_669_028, 10),
    "elu_net11": (1_669_028, 10),
    # 10,752; 147,840, 590,208, 983,680, 1,639,040; 410,240, 1,966,848, 2·2,360,064; 590,592, 2,753,408,
    # 3,212,160; 7,226,240, 3,671,040, 4,195,328; 1,049,600, 4,719,744; 1,328,256; 115,300.
    "elu_net18": (39_330_404, 18),
    # 9472; 32,896, 3·65,664; 131,328, 5·262,400; 52,432,896; 16,781,312; 4,097,000. Its 13 sites are
    # the 13 slopes of He et al. 2015, table 2. Of 30 layers: 16·262,400 more.
    "he_net": (74_993_896, 13),
    "he_net14": (74_993_896, 13),
    "he_net30": (79_192_296, 29),
    # 14,208; 221,440, 5·590,080; 1,180,160, 11·2,359,808; 132,124,672; 16,781,312; 4,097,000.
    "he_net22": (183_327_080, 21),
    # Caffe's file: 2432, 25,632, 51,264, 10,250; batch normalization: 2·(32 + 32 + 64) more.
    "cifar_full": (89_578, 3),
    "cifar_full_sigmoid": (89_578, 3),
    "cifar_full_sigmoid_bn": (89_834, 3),
}

# What the tests need: by file or preset, the smallest sensible images, arguments that make it small, and
# the nonlinear operations that are its own (of normalization, pooling or attention).
SMALL = {
    "cuda_convnet": {"input": (16, 16, 3)},
    "alexnet": {"input": (67, 67, 3), "arguments": "width=0.05"},
    "alexnet_one_weird_trick": {"input": (63, 63, 3), "arguments": "width=0.05"},
    "caffenet128": {"input": (67, 67, 3), "arguments": "width=0.05"},
    "mlp": {"input": (8, 8, 1), "arguments": "width=0.1, depth=2"},
    "mlp_selu8": {"input": (8, 8, 1)},
    "mlp_selu16": {"input": (8, 8, 1)},
    "mlp_selu32": {"input": (8, 8, 1)},
    "resnet": {"input": (16, 16, 3), "arguments": "width=0.25, depth=8"},
    "resnet18": {"input": (32, 32, 3)},
    "resnet50": {"input": (32, 32, 3)},
    # Standardizing weights takes the larger of their variance and a small number; jnp.var compares.
    "nf_resnet": {
        "input": (16, 16, 3),
        "arguments": "width=0.25, depth=8",
        "operations": ("max", "gt", "select_n"),
    },
    "nf_resnet26": {"input": (32, 32, 3)},
    "nf_resnet50": {"input": (32, 32, 3)},
    # The softmax of attention.
    "vit_tiny": {
        "input": (16, 16, 3),
        "arguments": "width=0.25, depth=1",
        "operations": ("exp", "max", "custom_jvp_call"),
    },
    "vit_tiny_224": {"input": (32, 32, 3), "arguments": "width=0.25, depth=1"},
    # Its normalization takes the larger of the variance and 0.
    "mlp_mixer_tiny": {
        "input": (16, 16, 3),
        "arguments": "width=0.25, depth=1",
        "operations": ("max",),
    },
    "mlp_mixer_s16": {"input": (32, 32, 3), "arguments": "width=0.1, depth=1"},
    "lenet5": {"arguments": "width=0.5"},
    "network_in_network": {"input": (16, 16, 3), "arguments": "width=0.05"},
    "all_cnn_c": {"input": (16, 16, 3), "arguments": "width=0.05"},
    "conv_pool_cnn_c": {"input": (16, 16, 3), "arguments": "width=0.05"},
    "vgg": {"input": (32, 32, 3), "arguments": "width=0.05"},
    "fitnet4": {"input": (16, 16, 3), "arguments": "width=0.1"},
    "squeezenet_bn": {"input": (16, 16, 3), "arguments": "width=0.1"},
    "small_net": {"input": (16, 16, 3), "arguments": "width=0.1"},
    "elu_net": {"input": (16, 16, 3), "arguments": "width=0.02"},
    "he_net": {"input": (32, 32, 3), "arguments": "width=0.04"},
    "cifar_full": {"input": (16, 16, 3), "arguments": "width=0.25"},
}
