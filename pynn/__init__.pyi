# Made by docs/generate.py from the core's tables.
from typing import Any

from . import callbacks as callbacks
from . import constraints as constraints
from . import datasets as datasets
from . import functional as functional
from . import grad as grad
from . import init as init
from . import io as io
from . import lab as lab
from . import layers as layers
from . import losses as losses
from . import metrics as metrics
from . import optim as optim
from . import plot as plot
from . import testing as testing
from . import utils as utils
from ._atlas import atlas as atlas
from ._graph import Parameter as Parameter
from ._random import manual_seed as manual_seed
from ._threads import get_num_threads as get_num_threads
from ._threads import num_threads as num_threads
from ._threads import set_num_threads as set_num_threads
from ._training.checkpoint import Checkpoint as Checkpoint
from ._training.divergence import DivergenceError as DivergenceError
from ._training.ensemble import Ensemble as Ensemble
from ._training.ensemble import predict_many as predict_many
from ._training.find_lr import LRSweep as LRSweep
from ._training.halving import Halving as Halving
from ._training.health import Health as Health
from ._training.history import History as History
from ._training.many import Run as Run
from ._training.many import fit_many as fit_many
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
from .io import load as load
from .layers import Activation as Activation
from .layers import AdaptiveAvgPool1d as AdaptiveAvgPool1d
from .layers import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .layers import AdaptiveMaxPool1d as AdaptiveMaxPool1d
from .layers import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from .layers import AlphaDropout as AlphaDropout
from .layers import AvgPool1d as AvgPool1d
from .layers import AvgPool2d as AvgPool2d
from .layers import BatchNorm1d as BatchNorm1d
from .layers import BatchNorm2d as BatchNorm2d
from .layers import Bilinear as Bilinear
from .layers import BinaryStep as BinaryStep
from .layers import CELU as CELU
from .layers import CircularPad1d as CircularPad1d
from .layers import CircularPad2d as CircularPad2d
from .layers import CircularPad3d as CircularPad3d
from .layers import ConstantPad1d as ConstantPad1d
from .layers import ConstantPad2d as ConstantPad2d
from .layers import ConstantPad3d as ConstantPad3d
from .layers import Conv1d as Conv1d
from .layers import Conv2d as Conv2d
from .layers import ConvTranspose1d as ConvTranspose1d
from .layers import ConvTranspose2d as ConvTranspose2d
from .layers import Dropout as Dropout
from .layers import Dropout1d as Dropout1d
from .layers import Dropout2d as Dropout2d
from .layers import ELU as ELU
from .layers import Embedding as Embedding
from .layers import EmbeddingBag as EmbeddingBag
from .layers import Exponential as Exponential
from .layers import FeatureAlphaDropout as FeatureAlphaDropout
from .layers import Flatten as Flatten
from .layers import Fold as Fold
from .layers import GEGLU as GEGLU
from .layers import GELU as GELU
from .layers import GELUTanh as GELUTanh
from .layers import GLU as GLU
from .layers import Gaussian as Gaussian
from .layers import GaussianNoise as GaussianNoise
from .layers import GlobalAvgPool1d as GlobalAvgPool1d
from .layers import GlobalAvgPool2d as GlobalAvgPool2d
from .layers import GlobalMaxPool1d as GlobalMaxPool1d
from .layers import GlobalMaxPool2d as GlobalMaxPool2d
from .layers import GroupNorm as GroupNorm
from .layers import Hardmax as Hardmax
from .layers import Hardshrink as Hardshrink
from .layers import Hardsigmoid as Hardsigmoid
from .layers import Hardswish as Hardswish
from .layers import Hardtanh as Hardtanh
from .layers import Identity as Identity
from .layers import InstanceNorm1d as InstanceNorm1d
from .layers import InstanceNorm2d as InstanceNorm2d
from .layers import LPPool1d as LPPool1d
from .layers import LPPool2d as LPPool2d
from .layers import LayerNorm as LayerNorm
from .layers import LazyConv1d as LazyConv1d
from .layers import LazyConv2d as LazyConv2d
from .layers import LazyLinear as LazyLinear
from .layers import LeakyReLU as LeakyReLU
from .layers import Linear as Linear
from .layers import LocalResponseNorm as LocalResponseNorm
from .layers import LogSigmoid as LogSigmoid
from .layers import LogSoftmax as LogSoftmax
from .layers import MaxOut as MaxOut
from .layers import MaxPool1d as MaxPool1d
from .layers import MaxPool2d as MaxPool2d
from .layers import Mish as Mish
from .layers import PReLU as PReLU
from .layers import Permute as Permute
from .layers import PixelShuffle as PixelShuffle
from .layers import PixelUnshuffle as PixelUnshuffle
from .layers import QuickGELU as QuickGELU
from .layers import RMSNorm as RMSNorm
from .layers import RReLU as RReLU
from .layers import ReGLU as ReGLU
from .layers import ReLU as ReLU
from .layers import ReLU6 as ReLU6
from .layers import ReflectionPad1d as ReflectionPad1d
from .layers import ReflectionPad2d as ReflectionPad2d
from .layers import ReflectionPad3d as ReflectionPad3d
from .layers import ReplicationPad1d as ReplicationPad1d
from .layers import ReplicationPad2d as ReplicationPad2d
from .layers import ReplicationPad3d as ReplicationPad3d
from .layers import Reshape as Reshape
from .layers import SELU as SELU
from .layers import Shrink as Shrink
from .layers import SiLU as SiLU
from .layers import Sigmoid as Sigmoid
from .layers import Softmax as Softmax
from .layers import Softmax2d as Softmax2d
from .layers import Softmin as Softmin
from .layers import Softplus as Softplus
from .layers import Softshrink as Softshrink
from .layers import Softsign as Softsign
from .layers import SparsePlus as SparsePlus
from .layers import SparseSigmoid as SparseSigmoid
from .layers import Sparsemax as Sparsemax
from .layers import SpectralNorm as SpectralNorm
from .layers import Squareplus as Squareplus
from .layers import SwiGLU as SwiGLU
from .layers import Swish as Swish
from .layers import Tanh as Tanh
from .layers import Tanhshrink as Tanhshrink
from .layers import Threshold as Threshold
from .layers import ThresholdedReLU as ThresholdedReLU
from .layers import Transpose as Transpose
from .layers import Unflatten as Unflatten
from .layers import Unfold as Unfold
from .layers import Upsample as Upsample
from .layers import WeightNorm as WeightNorm
from .layers import ZeroPad1d as ZeroPad1d
from .layers import ZeroPad2d as ZeroPad2d
from .layers import ZeroPad3d as ZeroPad3d
from .layers._base import Layer as Layer
from .losses import BCELoss as BCELoss
from .losses import BCEWithLogitsLoss as BCEWithLogitsLoss
from .losses import CIoULoss as CIoULoss
from .losses import CTCLoss as CTCLoss
from .losses import CategoricalHingeLoss as CategoricalHingeLoss
from .losses import CosineEmbeddingLoss as CosineEmbeddingLoss
from .losses import CrossEntropyLoss as CrossEntropyLoss
from .losses import DiceLoss as DiceLoss
from .losses import FocalLoss as FocalLoss
from .losses import FormulaLoss as FormulaLoss
from .losses import FunctionLoss as FunctionLoss
from .losses import GIoULoss as GIoULoss
from .losses import GaussianNLLLoss as GaussianNLLLoss
from .losses import GeneralizedCrossEntropyLoss as GeneralizedCrossEntropyLoss
from .losses import HingeEmbeddingLoss as HingeEmbeddingLoss
from .losses import HingeLoss as HingeLoss
from .losses import HuberLoss as HuberLoss
from .losses import IoULoss as IoULoss
from .losses import KLDivLoss as KLDivLoss
from .losses import L1Loss as L1Loss
from .losses import LogCoshLoss as LogCoshLoss
from .losses import MAPELoss as MAPELoss
from .losses import MSELoss as MSELoss
from .losses import MSLELoss as MSLELoss
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
from .losses import SquaredHingeLoss as SquaredHingeLoss
from .losses import TripletMarginLoss as TripletMarginLoss
from .losses import TverskyLoss as TverskyLoss
from .losses._base import Loss as Loss
from .model import Input as Input
from .model import Model as Model
from .model import Sequential as Sequential
from .optim._base import Optimizer as Optimizer

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
    "Input",
    "Model",
    "Sequential",
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
    "HuberLoss",
    "LogCoshLoss",
    "QuantileLoss",
    "MAPELoss",
    "MSLELoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "SigmoidFocalLoss",
    "KLDivLoss",
    "PoissonNLLLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "SquaredHingeLoss",
    "SoftMarginLoss",
    "MarginRankingLoss",
    "CrossEntropyLoss",
    "NLLLoss",
    "FocalLoss",
    "GeneralizedCrossEntropyLoss",
    "CategoricalHingeLoss",
    "MultiMarginLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "CosineEmbeddingLoss",
    "TripletMarginLoss",
    "DiceLoss",
    "TverskyLoss",
    "IoULoss",
    "GIoULoss",
    "CIoULoss",
    "CTCLoss",
    "FormulaLoss",
    "FunctionLoss",
    "Add",
    "Concat",
    "Parallel",
    "Residual",
    "Checkpoint",
    "DivergenceError",
    "Health",
    "Ensemble",
    "Halving",
    "History",
    "LRSweep",
    "Layer",
    "Loss",
    "Optimizer",
    "Parameter",
    "Run",
    "atlas",
    "fit_many",
    "get_num_threads",
    "load",
    "manual_seed",
    "num_threads",
    "predict_many",
    "set_num_threads",
    "callbacks",
    "constraints",
    "datasets",
    "functional",
    "grad",
    "init",
    "io",
    "lab",
    "layers",
    "losses",
    "metrics",
    "optim",
    "plot",
    "testing",
    "utils",
    "show_config",
]
__version__: str

def show_config(mode: str = 'stdout') -> dict[str, Any] | None: ...
