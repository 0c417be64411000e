# Made by docs/generate.py from the core's tables.
from typing import Any

from . import callbacks as callbacks
from . import datasets as datasets
from . import grad as grad
from . import init as init
from . import io as io
from . import lab as lab
from . import losses as losses
from . import metrics as metrics
from . import optim as optim
from . import plot as plot
from . import testing as testing
from ._checkpoint import Checkpoint as Checkpoint
from ._divergence import DivergenceError as DivergenceError
from ._find_lr import LRSweep as LRSweep
from ._health import Health as Health
from ._history import History as History
from ._layer import Layer as Layer
from ._layer import Parameter as Parameter
from ._loss import Loss as Loss
from ._optimizer import Optimizer as Optimizer
from ._random import manual_seed as manual_seed
from ._threads import get_num_threads as get_num_threads
from ._threads import num_threads as num_threads
from ._threads import set_num_threads as set_num_threads
from .activation_layers import BinaryStep as BinaryStep
from .activation_layers import CELU as CELU
from .activation_layers import ELU as ELU
from .activation_layers import Exponential as Exponential
from .activation_layers import GELU as GELU
from .activation_layers import GELUTanh as GELUTanh
from .activation_layers import Gaussian as Gaussian
from .activation_layers import Hardmax as Hardmax
from .activation_layers import Hardshrink as Hardshrink
from .activation_layers import Hardsigmoid as Hardsigmoid
from .activation_layers import Hardswish as Hardswish
from .activation_layers import Hardtanh as Hardtanh
from .activation_layers import Identity as Identity
from .activation_layers import LeakyReLU as LeakyReLU
from .activation_layers import LogSigmoid as LogSigmoid
from .activation_layers import LogSoftmax as LogSoftmax
from .activation_layers import Mish as Mish
from .activation_layers import QuickGELU as QuickGELU
from .activation_layers import ReLU as ReLU
from .activation_layers import ReLU6 as ReLU6
from .activation_layers import SELU as SELU
from .activation_layers import Shrink as Shrink
from .activation_layers import SiLU as SiLU
from .activation_layers import Sigmoid as Sigmoid
from .activation_layers import Softmax as Softmax
from .activation_layers import Softmin as Softmin
from .activation_layers import Softplus as Softplus
from .activation_layers import Softshrink as Softshrink
from .activation_layers import Softsign as Softsign
from .activation_layers import SparsePlus as SparsePlus
from .activation_layers import SparseSigmoid as SparseSigmoid
from .activation_layers import Sparsemax as Sparsemax
from .activation_layers import Squareplus as Squareplus
from .activation_layers import Swish as Swish
from .activation_layers import Tanh as Tanh
from .activation_layers import Tanhshrink as Tanhshrink
from .activation_layers import Threshold as Threshold
from .activation_layers import ThresholdedReLU as ThresholdedReLU
from .activations import binary_step as binary_step
from .activations import celu as celu
from .activations import elu as elu
from .activations import exponential as exponential
from .activations import gaussian as gaussian
from .activations import gelu as gelu
from .activations import gelu_tanh as gelu_tanh
from .activations import hard_shrink as hard_shrink
from .activations import hard_sigmoid as hard_sigmoid
from .activations import hard_silu as hard_silu
from .activations import hard_swish as hard_swish
from .activations import hard_tanh as hard_tanh
from .activations import hardmax as hardmax
from .activations import hardshrink as hardshrink
from .activations import hardsigmoid as hardsigmoid
from .activations import hardswish as hardswish
from .activations import hardtanh as hardtanh
from .activations import identity as identity
from .activations import leaky_relu as leaky_relu
from .activations import log_sigmoid as log_sigmoid
from .activations import log_softmax as log_softmax
from .activations import logsigmoid as logsigmoid
from .activations import mish as mish
from .activations import prelu as prelu
from .activations import quick_gelu as quick_gelu
from .activations import relu as relu
from .activations import relu6 as relu6
from .activations import selu as selu
from .activations import shrink as shrink
from .activations import sigmoid as sigmoid
from .activations import silu as silu
from .activations import soft_shrink as soft_shrink
from .activations import softmax as softmax
from .activations import softmin as softmin
from .activations import softplus as softplus
from .activations import softshrink as softshrink
from .activations import softsign as softsign
from .activations import sparse_plus as sparse_plus
from .activations import sparse_sigmoid as sparse_sigmoid
from .activations import sparsemax as sparsemax
from .activations import squareplus as squareplus
from .activations import swish as swish
from .activations import tanh as tanh
from .activations import tanh_shrink as tanh_shrink
from .activations import tanhshrink as tanhshrink
from .activations import threshold as threshold
from .activations import thresholded_relu as thresholded_relu
from .compose import Add as Add
from .compose import Concat as Concat
from .compose import Parallel as Parallel
from .compose import Residual as Residual
from .conv import Conv1d as Conv1d
from .conv import Conv2d as Conv2d
from .conv import ConvTranspose1d as ConvTranspose1d
from .conv import ConvTranspose2d as ConvTranspose2d
from .conv import Fold as Fold
from .conv import Unfold as Unfold
from .dropout import AlphaDropout as AlphaDropout
from .dropout import Dropout as Dropout
from .dropout import Dropout1d as Dropout1d
from .dropout import Dropout2d as Dropout2d
from .dropout import FeatureAlphaDropout as FeatureAlphaDropout
from .dropout import GaussianNoise as GaussianNoise
from .embedding import Bilinear as Bilinear
from .embedding import Embedding as Embedding
from .embedding import EmbeddingBag as EmbeddingBag
from .gates import GEGLU as GEGLU
from .gates import GLU as GLU
from .gates import MaxOut as MaxOut
from .gates import PReLU as PReLU
from .gates import RReLU as RReLU
from .gates import ReGLU as ReGLU
from .gates import Softmax2d as Softmax2d
from .gates import SwiGLU as SwiGLU
from .io import load as load
from .layers import Flatten as Flatten
from .layers import Linear as Linear
from .losses import BCELoss as BCELoss
from .losses import BCEWithLogitsLoss as BCEWithLogitsLoss
from .losses import CIoULoss as CIoULoss
from .losses import CTCLoss as CTCLoss
from .losses import CosineEmbeddingLoss as CosineEmbeddingLoss
from .losses import CrossEntropyLoss as CrossEntropyLoss
from .losses import DiceLoss as DiceLoss
from .losses import FocalLoss as FocalLoss
from .losses import FunctionLoss as FunctionLoss
from .losses import GIoULoss as GIoULoss
from .losses import GaussianNLLLoss as GaussianNLLLoss
from .losses import HingeEmbeddingLoss as HingeEmbeddingLoss
from .losses import HuberLoss as HuberLoss
from .losses import IoULoss as IoULoss
from .losses import KLDivLoss as KLDivLoss
from .losses import L1Loss as L1Loss
from .losses import LogCoshLoss as LogCoshLoss
from .losses import MSELoss as MSELoss
from .losses import MarginRankingLoss as MarginRankingLoss
from .losses import MultiLabelMarginLoss as MultiLabelMarginLoss
from .losses import MultiLabelSoftMarginLoss as MultiLabelSoftMarginLoss
from .losses import MultiMarginLoss as MultiMarginLoss
from .losses import NLLLoss as NLLLoss
from .losses import PoissonNLLLoss as PoissonNLLLoss
from .losses import QuantileLoss as QuantileLoss
from .losses import SigmoidFocalLoss as SigmoidFocalLoss
from .losses import SmoothL1Loss as SmoothL1Loss
from .losses import SoftMarginLoss as SoftMarginLoss
from .losses import TripletMarginLoss as TripletMarginLoss
from .model import Input as Input
from .model import Model as Model
from .model import Sequential as Sequential
from .norm import BatchNorm1d as BatchNorm1d
from .norm import BatchNorm2d as BatchNorm2d
from .norm import GroupNorm as GroupNorm
from .norm import InstanceNorm1d as InstanceNorm1d
from .norm import InstanceNorm2d as InstanceNorm2d
from .norm import LayerNorm as LayerNorm
from .norm import LocalResponseNorm as LocalResponseNorm
from .norm import RMSNorm as RMSNorm
from .own import Activation as Activation
from .pooling import AdaptiveAvgPool1d as AdaptiveAvgPool1d
from .pooling import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .pooling import AdaptiveMaxPool1d as AdaptiveMaxPool1d
from .pooling import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from .pooling import AvgPool1d as AvgPool1d
from .pooling import AvgPool2d as AvgPool2d
from .pooling import GlobalAvgPool1d as GlobalAvgPool1d
from .pooling import GlobalAvgPool2d as GlobalAvgPool2d
from .pooling import GlobalMaxPool1d as GlobalMaxPool1d
from .pooling import GlobalMaxPool2d as GlobalMaxPool2d
from .pooling import LPPool1d as LPPool1d
from .pooling import LPPool2d as LPPool2d
from .pooling import MaxPool1d as MaxPool1d
from .pooling import MaxPool2d as MaxPool2d
from .shape import CircularPad1d as CircularPad1d
from .shape import CircularPad2d as CircularPad2d
from .shape import CircularPad3d as CircularPad3d
from .shape import ConstantPad1d as ConstantPad1d
from .shape import ConstantPad2d as ConstantPad2d
from .shape import ConstantPad3d as ConstantPad3d
from .shape import Permute as Permute
from .shape import PixelShuffle as PixelShuffle
from .shape import PixelUnshuffle as PixelUnshuffle
from .shape import ReflectionPad1d as ReflectionPad1d
from .shape import ReflectionPad2d as ReflectionPad2d
from .shape import ReflectionPad3d as ReflectionPad3d
from .shape import ReplicationPad1d as ReplicationPad1d
from .shape import ReplicationPad2d as ReplicationPad2d
from .shape import ReplicationPad3d as ReplicationPad3d
from .shape import Reshape as Reshape
from .shape import Transpose as Transpose
from .shape import Unflatten as Unflatten
from .shape import Upsample as Upsample
from .shape import ZeroPad1d as ZeroPad1d
from .shape import ZeroPad2d as ZeroPad2d
from .shape import ZeroPad3d as ZeroPad3d

__all__ = [
    "identity",
    "binary_step",
    "threshold",
    "relu",
    "relu6",
    "leaky_relu",
    "prelu",
    "elu",
    "celu",
    "selu",
    "gelu",
    "gelu_tanh",
    "quick_gelu",
    "silu",
    "swish",
    "mish",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "sigmoid",
    "logsigmoid",
    "tanh",
    "tanhshrink",
    "softplus",
    "softsign",
    "softshrink",
    "hardshrink",
    "squareplus",
    "exponential",
    "gaussian",
    "sparse_plus",
    "sparse_sigmoid",
    "shrink",
    "thresholded_relu",
    "softmax",
    "softmin",
    "log_softmax",
    "sparsemax",
    "hardmax",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "hard_shrink",
    "soft_shrink",
    "log_sigmoid",
    "tanh_shrink",
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
    "Unfold",
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "FeatureAlphaDropout",
    "GaussianNoise",
    "Bilinear",
    "Embedding",
    "EmbeddingBag",
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
    "HuberLoss",
    "LogCoshLoss",
    "QuantileLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "SigmoidFocalLoss",
    "KLDivLoss",
    "PoissonNLLLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "SoftMarginLoss",
    "MarginRankingLoss",
    "CrossEntropyLoss",
    "NLLLoss",
    "FocalLoss",
    "MultiMarginLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "CosineEmbeddingLoss",
    "TripletMarginLoss",
    "DiceLoss",
    "IoULoss",
    "GIoULoss",
    "CIoULoss",
    "CTCLoss",
    "FunctionLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
    "Activation",
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
    "GEGLU",
    "GLU",
    "MaxOut",
    "PReLU",
    "RReLU",
    "ReGLU",
    "Softmax2d",
    "SwiGLU",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "Reshape",
    "Transpose",
    "Unflatten",
    "Upsample",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "Add",
    "Checkpoint",
    "Concat",
    "DivergenceError",
    "Flatten",
    "Health",
    "History",
    "Input",
    "LRSweep",
    "Layer",
    "Linear",
    "Loss",
    "Model",
    "Optimizer",
    "Parallel",
    "Parameter",
    "Residual",
    "Sequential",
    "callbacks",
    "get_num_threads",
    "grad",
    "io",
    "load",
    "losses",
    "manual_seed",
    "metrics",
    "num_threads",
    "optim",
    "set_num_threads",
    "show_config",
]
__version__: str

def show_config(mode: str = 'stdout') -> dict[str, Any] | None: ...
