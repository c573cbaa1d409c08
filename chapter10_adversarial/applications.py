"""The ImageNet classifiers of keras.applications, as functions of images in 0 to 255."""

import difflib
import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from pydantic import TypeAdapter

from common import UserError, data
from common.files import reason

CLASS_INDEX = (
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
)
CLASS_INDEX_MD5 = "c2c37ea517e94d9795004a39431a14cb"  # as in Keras' own imagenet_utils
CLASS_LIST = TypeAdapter(dict[str, tuple[str, str]])  # by number: WordNet id, name
BOUNDS = (0.0, 255.0)
BATCH_SIZE = 10  # of images of 224×224; ResNet50 takes some 100 MB for each


def find(name: str, flag: str = "--model") -> tuple[Callable, Callable]:
    """A classifier's builder and its preprocessing, by name, as "resnet50".

    Args:
        flag: that has the name, for the error.

    Raises:
        UserError: there is none of that name.
    """
    builders = {
        builder.__name__.lower(): builder
        for builder in vars(keras.applications).values()
        if inspect.isfunction(builder)
    }
    if name.lower() not in builders:
        near = difflib.get_close_matches(name.lower(), builders, n=5, cutoff=0.4)
        raise UserError(f"{flag} {name}: Keras has {', '.join(near or builders)}")
    builder = builders[name.lower()]
    return builder, sys.modules[builder.__module__].preprocess_input


class Classifier:
    """A classifier that takes images as they are: float, n×size×size×3, 0 to 255.

    Args:
        name: of a model of keras.applications.
        weights: "imagenet", which Keras looks for in its cache and else downloads; or a file.
        alpha: the width, of those models that come in several; None for Keras' default.
        flags: "" or "also", of the program: whose flags errors name.

    Raises:
        UserError: there is no such model, or its weights are not to be had or don't fit.
    """

    def __init__(
        self, name: str, weights: str = "imagenet", alpha: float | None = None, flags: str = ""
    ):
        prefix = f"--{flags}-" if flags else "--"
        builder, self.preprocess = find(name, f"--{flags or 'model'}")
        settings = {} if alpha is None else {"alpha": alpha}
        if settings and "alpha" not in inspect.signature(builder).parameters:
            raise UserError(f"{prefix}alpha: {name} comes in one width only")
        if weights != "imagenet" and not os.path.isfile(weights):
            raise UserError(f"{prefix}weights {weights}: there is no such file")
        try:
            with data.socket_timeout(data.TIMEOUT):
                # Logits: from probabilities, rounded to 1, no gradient comes back.
                self.model = builder(weights=weights, classifier_activation=None, **settings)
        except Exception as error:  # get_file raises a plain Exception, h5py whatever it likes
            raise UserError(_reason(name, f"{prefix}weights", weights, error)) from error
        self.model.trainable = False
        self.size = self.model.input_shape[1]

    def __call__(self, images):
        """Logits, n×1000. Preprocessing is inside, so that an epsilon is in units of 0 to 255."""
        images = keras.ops.convert_to_tensor(images)  # Keras preprocesses NumPy arrays in place
        return self.model(self.preprocess(images), training=False)


def probabilities(classifier: Callable, images: np.ndarray) -> np.ndarray:
    """Of each class, n×1000, for images n×size×size×3 in 0 to 255."""
    batches = [images[i : i + BATCH_SIZE] for i in range(0, len(images), BATCH_SIZE)]
    logits = keras.ops.concatenate([classifier(batch) for batch in batches])
    return keras.ops.convert_to_numpy(keras.ops.softmax(keras.ops.cast(logits, "float32")))


def _reason(name, flag, weights, error):
    message = " ".join(str(error).split())
    address = re.search(r"https?://\S+", message)
    if address and weights == "imagenet":
        return (
            f"{name}: its weights could not be downloaded. Download {address[0].rstrip(':')} and "
            f"{CLASS_INDEX} elsewhere, put both into one folder, and name the first with {flag}"
        )
    return f"{name} {flag} {weights}: cannot be loaded: {message[:300]}"


class Classes:
    """The names of ImageNet's thousand classes.

    Looked for beside the weights, then in Keras' cache, and else downloaded.

    Args:
        weights: "imagenet", or the file with the weights.

    Raises:
        UserError: they are not to be had, or the file is broken.
    """

    def __init__(self, weights: str = "imagenet"):
        name = CLASS_INDEX.rsplit("/", 1)[1]
        path = Path(weights).parent / name
        if weights == "imagenet" or not os.path.isfile(path):
            try:
                with data.socket_timeout(data.TIMEOUT):
                    path = keras.utils.get_file(
                        name, CLASS_INDEX, cache_subdir="models", file_hash=CLASS_INDEX_MD5
                    )
            except Exception as error:  # a plain Exception when the network fails
                beside = Path(weights).parent
                if weights == "imagenet":
                    beside = Path(os.environ.get("KERAS_HOME", "~/.keras")) / "models"
                raise UserError(
                    f"the names of the classes could not be downloaded. Download {CLASS_INDEX} "
                    f"elsewhere, and put it into {beside}"
                ) from error
        try:
            listed = CLASS_LIST.validate_json(Path(path).read_bytes(), strict=True)
            self.ids, self.names = zip(*(listed[str(i)] for i in range(1000)), strict=True)
        except (OSError, ValueError, KeyError) as error:  # pydantic's is a ValueError
            problem = f"{path}: is not the list of ImageNet's classes"
            raise UserError(f"{problem}: {reason(error)}") from error

    def title(self, number: int) -> str:
        """A class's name for people, with its WordNet id where two classes have one name."""
        name = self.names[number]
        which = f" ({self.ids[number]})" if self.names.count(name) > 1 else ""
        return name.replace("_", " ") + which

    def likeliest(self, probabilities: np.ndarray, count: int = 5) -> dict[str, float]:
        """The likeliest classes of one image, from 1000 probabilities, best first."""
        order = np.argsort(-probabilities, kind="stable")[:count]
        return {self.title(i): float(probabilities[i]) for i in order}

    def number(self, name: str) -> int:
        """The class of a name, as "school bus", or of a WordNet id, as "n04146614".

        Raises:
            UserError: there is none, or there are two.
        """
        wanted = _plain(name)
        if wanted in self.ids:
            return self.ids.index(wanted)
        plain = [_plain(each) for each in self.names]
        found = [i for i, each in enumerate(plain) if each == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            which = " or ".join(self.ids[i] for i in found)
            raise UserError(f"class {name}: there are {len(found)} of them; say {which}")
        near = difflib.get_close_matches(wanted, plain, n=5, cutoff=0.5)
        hint = f"; near are {', '.join(near)}" if near else ""
        raise UserError(f"class {name}: ImageNet has none of that name{hint}")


def _plain(name):
    return re.sub(r"[\s_-]+", "_", name.strip().lower())
