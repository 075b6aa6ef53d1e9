"""Names of torchvision, timm, albumentations, PyTorch and NumPy, and what they are called here; for error messages.

Only names that are not found by their spelling are listed. Step names are written as `plain_name` makes them:
lowercase letters and digits.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Final

from augreg.steps.suggestions import nearest, plain_name

__all__ = ["VALUES", "argument", "of_class", "step"]

_TENSOR: Final = "no step does this: `output: torch` in the spec gives tensors, and normalize gives floats"
_FLOATS: Final = "no step does this: normalize gives floats; `normalize: {mean: 0, std: 1}` only divides by 255"
_COMPOSE: Final = "no step does this: the list under `image` is applied in order; a nested list is `sequential`"
_PIL: Final = "no step is needed: every step takes PIL images, arrays and tensors"
_NOTHING: Final = "no step is needed: leave it out, and give one_of or some_of a `p` if it should do nothing at times"
_CODE: Final = "for your own code, write a transform (docs/write-a-transform.md), or use augreg.Call"
_SEVERAL: Final = "no step makes several images of one; augreg.data.Augmented has views=, each with its own draw"
_CRITERION: Final = "pipe.criterion() is cross-entropy already; the section `loss` only adds to it"
_TIMM: Final = "give a policy string of timm as `timm_policy: {policy: rand-m9-mstd0.5-inc1}`"
_NORMS: Final = "it is a layer of the model; put it into the model itself"
_DECAY: Final = "weight decay is `l2` in the section `loss`, or weight_decay= of the optimizer"
_BRIGHTNESS: Final = "did you mean 'color_jitter', with brightness and contrast?"
_JPEG: Final = "did you mean 'jpeg'?"
_TURN: Final = "did you mean 'rotate'?"
_MIXED: Final = "did you mean 'mixup' or 'cutmix', in the section `batch`?"
_COPIED: Final = "did you mean 'copy_paste', in the section `batch`?"
_WEIGHTS: Final = "no step does this: augreg.from_torchvision(weights) makes a spec of a model's transforms"
_STEP: Final = "a step is a mapping of its name to its arguments, such as `rotate: {degrees: 10}`"

_STEPS: Final[Mapping[str, str]] = {
    "totensor": _TENSOR, "totensorv2": _TENSOR, "totensorv1": _TENSOR, "toimage": _TENSOR, "piltotensor": _TENSOR,
    "topuretensor": _TENSOR, "tonumpy": "no step does this: `output: numpy` in the spec gives arrays",
    "todtype": _FLOATS, "convertimagedtype": _FLOATS, "tofloat": _FLOATS, "fromfloat": _FLOATS, "rescale": _FLOATS,
    "maybetotensor": _TENSOR, "maybepiltotensor": _TENSOR,
    "topilimage": _PIL, "identity": _NOTHING, "noop": _NOTHING,
    "rgb": "set `channels: rgb` in the spec; it is the default",
    "compose": _COMPOSE, "replaycompose": _COMPOSE, "lambda": _CODE,
    "randomapply": "every step takes `p`; for several, use `sequential: {steps: [..], p: 0.5}`",
    "randomchoice": "did you mean 'one_of'?", "oneorother": "did you mean 'one_of'?",
    "fivecrop": _SEVERAL, "tencrop": _SEVERAL, "multicrop": _SEVERAL,
    "hflip": "did you mean 'horizontal_flip'?", "fliplr": "did you mean 'horizontal_flip'?",
    "vflip": "did you mean 'vertical_flip'?", "flipud": "did you mean 'vertical_flip'?",
    "flip": "did you mean 'horizontal_flip' or 'vertical_flip'?",
    "squaresymmetry": "did you mean 'd4'?", "jigsaw": "did you mean 'grid_shuffle'?",
    "fisheye": "did you mean 'optical_distortion', with model: fisheye?",
    "randomrotation": _TURN, "randomrotate90": "did you mean 'rot90'?",
    "shiftscalerotate": "did you mean 'affine', with degrees, translate and scale?",
    "zoom": "did you mean 'affine', with scale, or 'random_resized_crop'?",
    "randomzoomout": "did you mean 'zoom_out'?",
    "cropnonemptymaskifexists": "did you mean 'safe_crop', which keeps boxes? No crop depends on a mask",
    "overlayelements": "did you mean 'copy_paste', in the section batch?",
    "torgb": "set `channels: rgb` in the spec",
    "translate": "did you mean 'translate_x', 'translate_y' or 'affine', with translate?",
    "shift": "did you mean 'translate_x', 'translate_y' or 'affine', with translate?",
    "shear": "did you mean 'shear_x', 'shear_y' or 'affine'?",
    "elastictransform": "did you mean 'elastic'?",
    "crop": "did you mean 'random_crop', 'center_crop' or 'crop_box'?",
    "randomresizedcropandinterpolation": "did you mean 'random_resized_crop'?",
    "rrc": "did you mean 'random_resized_crop'?", "randomsizedbboxsafecrop": "did you mean 'crop_around_boxes'?",
    "bboxsaferandomcrop": "did you mean 'crop_around_boxes'?", "randomioucrop": "did you mean 'iou_crop'?",
    "smallestmaxsize": "did you mean 'resize', with shorter?", "scale": "did you mean 'resize'?",
    "randomshortestsize": "did you mean 'resize', with shorter? Its size is fixed",
    "scalejitter": "did you mean 'random_scale', with fit?", "randomresize": "did you mean 'random_shorter'?",
    "cropandpad": "did you mean 'move_edges' or 'crop_or_pad'?",
    "randomcropfromborders": "did you mean 'crop_edges'?",
    "padifneeded": "did you mean 'pad_to'?",
    "randomcroporpad": "did you mean 'crop_or_pad', with position: random?",
    "centercroporpad": "did you mean 'crop_or_pad'?", "trimborder": "did you mean 'crop_border'?",
    "randomcropwithpadding": "did you mean 'random_crop', with padding?",
    "randombrightnesscontrast": "did you mean 'multiply_add'? Its add is their brightness",
    "brightnesscontrast": _BRIGHTNESS,
    "jitter": "did you mean 'color_jitter'?",
    "randombrightness": "did you mean 'brightness'?", "randomcontrast": "did you mean 'contrast'?",
    "huesaturationvalue": "did you mean 'hsv_shift'?",
    "togray": "did you mean 'grayscale'?", "rgb2gray": "did you mean 'grayscale'?",
    "randomgamma": "did you mean 'gamma'?", "adjustgamma": "did you mean 'gamma'?",
    "invertimg": "did you mean 'invert'?", "negative": "did you mean 'invert'?",
    "randomchannelpermutation": "did you mean 'channel_shuffle'?", "channeldropout": "did you mean 'channel_drop'?",
    "randomphotometricdistort": "did you mean 'color_jitter'?", "colorjitterp": "did you mean 'color_jitter'?",
    "randomadjustsharpness": "did you mean 'sharpness'?",
    "unsharpmask": "did you mean 'sharpen'?",
    "blur": "did you mean 'gaussian_blur', 'box_blur', 'median_blur' or 'motion_blur'?",
    "boxblur": "did you mean 'box_blur'?",
    "advancedblur": "did you mean 'oriented_blur'?", "randomgaussianblur": "did you mean 'gaussian_blur'?",
    "noise": "did you mean 'gaussian_noise', 'iso_noise' or 'shot_noise'?",
    "additivenoise": "did you mean 'gaussian_noise'?",
    "imagecompression": _JPEG, "jpegcompression": _JPEG, "randomjpeg": _JPEG,
    "coarsedropout": "did you mean 'holes', 'cutout' or 'random_erasing'?",
    "erasing": "did you mean 'random_erasing'?",
    "erase": "did you mean 'random_erasing'?", "griddropout": "did you mean 'grid_holes' or 'grid_mask'?",
    "maskdropout": "did you mean 'random_erasing'?", "xymasking": "did you mean 'random_erasing'?",
    "autoaugmentpolicy": "did you mean 'auto_augment'?", "aa": _TIMM, "timm": _TIMM,
    "trivialaugment": "did you mean 'trivial_augment_wide'?", "ta": "did you mean 'trivial_augment_wide'?",
    "simplecopypaste": _COPIED, "instancecopypaste": _COPIED, "pasteinstances": _COPIED,
    "mixupcutmix": _MIXED, "randommixup": _MIXED, "randomcutmix": _MIXED, "fastcollatemixup": _MIXED,
    "sanitizeboundingboxes": "no step does this: `targets: {min_visible: 0.1, min_area: 1}` drops boxes",
    "clampboundingboxes": "no step does this: boxes are always clipped to the image",
    "convertboundingboxformat": "no step does this: `targets: {boxes: xyxy}` says which format the boxes have",
    "bboxparams": "no step does this: `targets: {boxes: xyxy}` says which format the boxes have",
    "name": _STEP, "type": _STEP, "transform": _STEP, "classname": _STEP, "class": _STEP, "target": _STEP,
    **dict.fromkeys(("imageclassification", "semanticsegmentation", "objectdetection", "opticalflow"), _WEIGHTS),
    "videoclassification": "no step does this: a spec is for images, not for clips",
    # of models and losses
    "dropout1d": "did you mean 'spatial_dropout'?", "dropout2d": "did you mean 'spatial_dropout'?",
    "dropout3d": "did you mean 'spatial_dropout'?", "featurealphadropout": "did you mean 'alpha_dropout'?",
    "droppath": "did you mean 'stochastic_depth'?", "dropblock2d": "did you mean 'drop_block'?",
    "gaussiannoiselayer": "did you mean 'activation_noise'?", "kaiming": "did you mean 'init'?",
    "xavier": "did you mean 'init'?", "relu": "did you mean 'activation'?", "gelu": "did you mean 'activation'?",
    "batchnorm": _NORMS, "batchnorm1d": _NORMS, "batchnorm2d": _NORMS, "layernorm": _NORMS, "groupnorm": _NORMS,
    "spectralnorm": "torch.nn.utils.parametrizations.spectral_norm does this; here, 'max_norm' limits weights",
    "weightnorm": "torch.nn.utils.parametrizations.weight_norm does this; here, 'max_norm' limits weights",
    "weightdecay": _DECAY, "wd": _DECAY, "ridge": _DECAY, "lasso": "did you mean 'l1'?",
    "crossentropy": _CRITERION, "crossentropyloss": _CRITERION, "ce": _CRITERION, "nllloss": _CRITERION,
    "labelsmoothingcrossentropy": "did you mean 'label_smoothing'?", "smoothing": "did you mean 'label_smoothing'?",
    "softtargetcrossentropy": _CRITERION, "entropy": "did you mean 'confidence_penalty'?",
}  # fmt: skip
"""What to say of a step's name that another library has, by the plain name."""

_POLICIES: Final = ("rand-", "augmix-", "original", "v0-", "3a-", "random-m")

_ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "prob": ("p",), "probability": ("p",), "chance": ("p",), "alwaysapply": ("p",), "mixupprob": ("p",),
    "cutmixprob": ("p",), "rate": ("p",), "dropprob": ("p", "survival"), "droprate": ("p", "survival"),
    "droppathrate": ("survival",), "survivalprob": ("survival",), "keepprob": ("survival", "p"), "name": ("uid",),
    "layers": ("at",), "layer": ("at",), "modules": ("at",), "module": ("at",), "target": ("at",), "targets": ("at",),
    "params": ("at",), "where": ("at",),
    "transforms": ("steps",), "children": ("steps",), "policies": ("policy",), "probabilities": ("weights",),
    "height": ("size",), "width": ("size",), "length": ("size",), "imgsize": ("size",), "outputsize": ("size",),
    "targetsize": ("size",), "inputsize": ("size",), "maxsize": ("longer", "shorter"), "side": ("shorter", "size"),
    "smaller": ("shorter",), "shortest": ("shorter",), "longest": ("longer",),
    "limit": ("degrees", "k", "amount", "shift"), "angle": ("degrees",), "angles": ("degrees",),
    "rotate": ("degrees",), "rotatelimit": ("degrees",), "rotation": ("degrees",), "degree": ("degrees",),
    "translatepercent": ("translate",), "shiftlimit": ("translate", "shift"), "scalelimit": ("scale",),
    "shear": ("shear_x", "shear_y", "amount"), "distortionscale": ("distortion",), "distortlimit": ("limit", "k"),
    "numsteps": ("cells",), "magnitude": ("m", "amount", "severity"), "numops": ("n",), "n": ("count",),
    "k": ("count",),
    "nummagnitudebins": ("m_max",),
    "numlayers": ("n",), "mixturewidth": ("width",), "chaindepth": ("depth",),
    "kernelsize": ("sigma", "size", "length"), "ksize": ("sigma", "size", "length"), "radius": ("sigma",),
    "blurlimit": ("size", "length"), "sigmalimit": ("sigma",),
    "varlimit": ("std",), "stdrange": ("std",), "sigma": ("std",), "noise": ("std",), "variance": ("std",),
    "value": ("fill",), "fillvalue": ("fill",), "color": ("fill",), "cval": ("fill",), "padvalue": ("fill",),
    "scale": ("area", "sigma"), "sl": ("area",), "arearange": ("area",), "ratiorange": ("ratio",),
    "nholes": ("holes",), "numholes": ("holes",), "maxholes": ("holes",), "holeheight": ("size",),
    "paddingmode": ("mode",), "bordermode": ("mode",), "padmode": ("mode",), "resample": ("interpolation",),
    "brightnesslimit": ("brightness", "add", "factor"), "contrastlimit": ("contrast", "factor"), "huelimit": ("hue",),
    "hueshiftlimit": ("hue", "shift"), "satshiftlimit": ("saturation",), "sharpnessfactor": ("factor",),
    "gammalimit": ("gamma",), "cliplimit": ("clip",), "tilegridsize": ("tiles",), "numbits": ("bits",),
    "qualityrange": ("quality",), "qualitylower": ("quality",), "compressionquality": ("quality",),
    "mixupalpha": ("alpha",), "cutmixalpha": ("alpha",), "beta": ("alpha",),
    "labelsmoothing": ("smoothing",), "epsilon": ("smoothing",), "eps": ("smoothing",),
    "lambda": ("strength",), "weight": ("strength",), "weightdecay": ("strength",), "coefficient": ("strength",),
    "format": ("boxes",), "boxformat": ("boxes",), "minvisibility": ("min_visible",), "labelfields": ("labels",),
    "additionaltargets": ("keys",), "masks": ("keys",), "mask": ("keys",), "image": ("keys",),
    "ignoreindex": ("mask_fill",), "depth": ("maps",), "flip": ("swap",),
}  # fmt: skip
"""Arguments that mean the same here, by the plain name of the argument of another library."""

_NOT_NEEDED: Final[Mapping[str, str]] = {
    "inplace": "it is not needed", "alwaysapply": "leave it out, or give p: 1",
    "expand": "the size of the image stays the same", "center": "the center is that of the image",
    "numclasses": "the spec has `classes` for it", "trainmode": "pipe.train and pipe.test are the two sides",
}  # fmt: skip

VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "cv2": ("opencv",), "pil": ("pillow",), "tensor": ("torch",), "pt": ("torch",), "pytorch": ("torch",),
    "np": ("numpy",), "array": ("numpy",), "coco": ("xywh",), "pascalvoc": ("xyxy",), "voc": ("xyxy",),
    "yolo": ("cxcywh_normalized",), "albumentations": ("xyxy_normalized",), "cxcywhn": ("cxcywh_normalized",),
    "linear": ("bilinear",), "interlinear": ("bilinear",), "cubic": ("bicubic",), "intercubic": ("bicubic",),
    "lanczos": ("lanczos", "bicubic"), "interarea": ("area", "bilinear"), "zeros": ("constant",),
    "zero": ("constant",), "replicate": ("edge",), "border": ("edge",), "reflection": ("reflect",),
    "reflect101": ("reflect",), "l": ("gray",), "grayscale": ("gray",), "grey": ("gray",), "bgr": ("rgb",),
    "segmentation": ("mask",),
    "ignore": ("other",), "depth": ("other",), "xywhr": ("cxcywhr",), "rbox": ("cxcywhr",),
    "obb": ("xyxyxyxy", "cxcywhr"), "quad": ("xyxyxyxy",),
}  # fmt: skip
"""Choices that mean the same here, or nearly, by the plain name of the choice of another library."""


def step(name: str, known: Iterable[str] = ()) -> str:
    """What to say of a step's name that another library has; "" for others, also where only the spelling differs."""
    if len(name) > 100:
        return ""
    if name.startswith(_POLICIES):
        return f"did you mean `timm_policy: {{policy: {name}}}`?"
    plain = plain_name(name)
    known = list(known)
    if plain in map(plain_name, known):
        return ""
    rest = plain.removeprefix("random")
    alike = next((other for other in known if plain_name(other) == rest), None)
    return _STEPS.get(plain) or (f"did you mean {alike!r}?" if alike else _STEPS.get(rest, ""))


def of_class(name: str, members: Iterable[str]) -> str:
    """The hint for the name of a class that a package does not have; "" if nothing is similar.

    Lowercase names get none: they may be modules that are not imported yet.
    """
    if not name[:1].isupper():
        return ""
    known = {plain_name(member): member for member in members}
    if plain_name(name) in known:
        return f"; did you mean {known[plain_name(name)]!r}?"
    hint = step(name)
    classes = re.sub(r"'(\w+)'", lambda found: repr(known.get(plain_name(found[1]), found[1])), hint)
    if classes != hint:
        return f"; {classes}"
    return f"; in a spec, {hint}" if hint else nearest(name, known.values())


def argument(name: object, known: Container[str]) -> str:
    """The hint for an argument's name that another library has; "" if it means none of the known ones."""
    if not isinstance(name, str) or len(name) > 100:
        return ""
    plain = plain_name(name)
    if plain in _NOT_NEEDED:
        return f"; {_NOT_NEEDED[plain]}"
    found = [other for other in _ARGUMENTS.get(plain, ()) if other in known]
    both = found if set(found) == {"shear_x", "shear_y"} else found[:1]
    note = ", the probability of being kept" if found[:1] == ["survival"] and "drop" in plain else ""
    return f"; did you mean {' and '.join(map(repr, both))}{note}?" if found else ""
