# Made by docs/generate.py from the core's tables.


__all__ = [
    "Identity",
    "BinaryStep",
    "Threshold",
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "ELU",
    "CELU",
    "SELU",
    "GELU",
    "GELUTanh",
    "QuickGELU",
    "SiLU",
    "Swish",
    "Mish",
    "Hardswish",
    "Hardsigmoid",
    "Hardtanh",
    "Sigmoid",
    "LogSigmoid",
    "Tanh",
    "Tanhshrink",
    "Softplus",
    "Softsign",
    "Softshrink",
    "Hardshrink",
    "Squareplus",
    "Exponential",
    "Gaussian",
    "SparsePlus",
    "SparseSigmoid",
    "Shrink",
    "ThresholdedReLU",
    "Softmax",
    "Softmin",
    "LogSoftmax",
    "Sparsemax",
    "Hardmax",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Fold",
    "LazyConv1d",
    "LazyConv2d",
    "Unfold",
    "Activation",
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "FeatureAlphaDropout",
    "GaussianNoise",
    "Bilinear",
    "Embedding",
    "EmbeddingBag",
    "GEGLU",
    "GLU",
    "MaxOut",
    "PReLU",
    "RReLU",
    "ReGLU",
    "Softmax2d",
    "SwiGLU",
    "LazyLinear",
    "Linear",
    "BatchNorm1d",
    "BatchNorm2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "LPPool1d",
    "LPPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "SpectralNorm",
    "WeightNorm",
    "Flatten",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "Reshape",
    "Transpose",
    "Unflatten",
    "Upsample",
]
from ..layers.activation import Identity as Identity
from ..layers.activation import BinaryStep as BinaryStep
from ..layers.activation import Threshold as Threshold
from ..layers.activation import ReLU as ReLU
from ..layers.activation import ReLU6 as ReLU6
from ..layers.activation import LeakyReLU as LeakyReLU
from ..layers.activation import ELU as ELU
from ..layers.activation import CELU as CELU
from ..layers.activation import SELU as SELU
from ..layers.activation import GELU as GELU
from ..layers.activation import GELUTanh as GELUTanh
from ..layers.activation import QuickGELU as QuickGELU
from ..layers.activation import SiLU as SiLU
from ..layers.activation import Swish as Swish
from ..layers.activation import Mish as Mish
from ..layers.activation import Hardswish as Hardswish
from ..layers.activation import Hardsigmoid as Hardsigmoid
from ..layers.activation import Hardtanh as Hardtanh
from ..layers.activation import Sigmoid as Sigmoid
from ..layers.activation import LogSigmoid as LogSigmoid
from ..layers.activation import Tanh as Tanh
from ..layers.activation import Tanhshrink as Tanhshrink
from ..layers.activation import Softplus as Softplus
from ..layers.activation import Softsign as Softsign
from ..layers.activation import Softshrink as Softshrink
from ..layers.activation import Hardshrink as Hardshrink
from ..layers.activation import Squareplus as Squareplus
from ..layers.activation import Exponential as Exponential
from ..layers.activation import Gaussian as Gaussian
from ..layers.activation import SparsePlus as SparsePlus
from ..layers.activation import SparseSigmoid as SparseSigmoid
from ..layers.activation import Shrink as Shrink
from ..layers.activation import ThresholdedReLU as ThresholdedReLU
from ..layers.activation import Softmax as Softmax
from ..layers.activation import Softmin as Softmin
from ..layers.activation import LogSoftmax as LogSoftmax
from ..layers.activation import Sparsemax as Sparsemax
from ..layers.activation import Hardmax as Hardmax
from ..layers.conv import Conv1d as Conv1d
from ..layers.conv import Conv2d as Conv2d
from ..layers.conv import ConvTranspose1d as ConvTranspose1d
from ..layers.conv import ConvTranspose2d as ConvTranspose2d
from ..layers.conv import Fold as Fold
from ..layers.conv import LazyConv1d as LazyConv1d
from ..layers.conv import LazyConv2d as LazyConv2d
from ..layers.conv import Unfold as Unfold
from ..layers.custom import Activation as Activation
from ..layers.dropout import AlphaDropout as AlphaDropout
from ..layers.dropout import Dropout as Dropout
from ..layers.dropout import Dropout1d as Dropout1d
from ..layers.dropout import Dropout2d as Dropout2d
from ..layers.dropout import FeatureAlphaDropout as FeatureAlphaDropout
from ..layers.dropout import GaussianNoise as GaussianNoise
from ..layers.embedding import Bilinear as Bilinear
from ..layers.embedding import Embedding as Embedding
from ..layers.embedding import EmbeddingBag as EmbeddingBag
from ..layers.gates import GEGLU as GEGLU
from ..layers.gates import GLU as GLU
from ..layers.gates import MaxOut as MaxOut
from ..layers.gates import PReLU as PReLU
from ..layers.gates import RReLU as RReLU
from ..layers.gates import ReGLU as ReGLU
from ..layers.gates import Softmax2d as Softmax2d
from ..layers.gates import SwiGLU as SwiGLU
from ..layers.linear import LazyLinear as LazyLinear
from ..layers.linear import Linear as Linear
from ..layers.norm import BatchNorm1d as BatchNorm1d
from ..layers.norm import BatchNorm2d as BatchNorm2d
from ..layers.norm import GroupNorm as GroupNorm
from ..layers.norm import InstanceNorm1d as InstanceNorm1d
from ..layers.norm import InstanceNorm2d as InstanceNorm2d
from ..layers.norm import LayerNorm as LayerNorm
from ..layers.norm import LocalResponseNorm as LocalResponseNorm
from ..layers.norm import RMSNorm as RMSNorm
from ..layers.padding import CircularPad1d as CircularPad1d
from ..layers.padding import CircularPad2d as CircularPad2d
from ..layers.padding import CircularPad3d as CircularPad3d
from ..layers.padding import ConstantPad1d as ConstantPad1d
from ..layers.padding import ConstantPad2d as ConstantPad2d
from ..layers.padding import ConstantPad3d as ConstantPad3d
from ..layers.padding import ReflectionPad1d as ReflectionPad1d
from ..layers.padding import ReflectionPad2d as ReflectionPad2d
from ..layers.padding import ReflectionPad3d as ReflectionPad3d
from ..layers.padding import ReplicationPad1d as ReplicationPad1d
from ..layers.padding import ReplicationPad2d as ReplicationPad2d
from ..layers.padding import ReplicationPad3d as ReplicationPad3d
from ..layers.padding import ZeroPad1d as ZeroPad1d
from ..layers.padding import ZeroPad2d as ZeroPad2d
from ..layers.padding import ZeroPad3d as ZeroPad3d
from ..layers.pooling import AdaptiveAvgPool1d as AdaptiveAvgPool1d
from ..layers.pooling import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from ..layers.pooling import AdaptiveMaxPool1d as AdaptiveMaxPool1d
from ..layers.pooling import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from ..layers.pooling import AvgPool1d as AvgPool1d
from ..layers.pooling import AvgPool2d as AvgPool2d
from ..layers.pooling import GlobalAvgPool1d as GlobalAvgPool1d
from ..layers.pooling import GlobalAvgPool2d as GlobalAvgPool2d
from ..layers.pooling import GlobalMaxPool1d as GlobalMaxPool1d
from ..layers.pooling import GlobalMaxPool2d as GlobalMaxPool2d
from ..layers.pooling import LPPool1d as LPPool1d
from ..layers.pooling import LPPool2d as LPPool2d
from ..layers.pooling import MaxPool1d as MaxPool1d
from ..layers.pooling import MaxPool2d as MaxPool2d
from ..layers.reparametrized import SpectralNorm as SpectralNorm
from ..layers.reparametrized import WeightNorm as WeightNorm
from ..layers.shape import Flatten as Flatten
from ..layers.shape import Permute as Permute
from ..layers.shape import PixelShuffle as PixelShuffle
from ..layers.shape import PixelUnshuffle as PixelUnshuffle
from ..layers.shape import Reshape as Reshape
from ..layers.shape import Transpose as Transpose
from ..layers.shape import Unflatten as Unflatten
from ..layers.shape import Upsample as Upsample
