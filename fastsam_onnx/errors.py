"""The exceptions of the package.

```text
FastSAMError
  ImageError              the picture cannot be read (ValueError)
  ModelError              the file is neither a YOLO segmentation network nor CLIP (ValueError)
    ModelNotFoundError    there is no such file (FileNotFoundError)
    CheckpointError       a PyTorch checkpoint is damaged, or asks for more than parameters need
  PromptError             a point, box or text prompt cannot mean what it says (ValueError)
  OptionError             a threshold, size or name outside what is accepted (ValueError)
  ObjectIndexError        a result has no object of this index (IndexError)
  OutputError             a result cannot be written (OSError)
  DownloadError           the file of a model's name is not here and cannot be fetched (OSError)
  MissingPackageError     an optional package is not installed (ImportError)
  ServerError             the server cannot go on (RuntimeError)
```
"""


class FastSAMError(Exception):
    """The base of every exception that this package raises on purpose."""


class ImageError(FastSAMError, ValueError):
    """The picture cannot be read; the message names the source and the reason."""


class ModelError(FastSAMError, ValueError):
    """The file is not a network that this package understands."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """There is no file under the given name."""


class CheckpointError(ModelError):
    """A PyTorch checkpoint is damaged, is of a kind that is not read, or asks for more than parameters need."""


class PromptError(FastSAMError, ValueError):
    """A point, box or text prompt is malformed."""


class OptionError(FastSAMError, ValueError):
    """An option is outside the range that is accepted."""


class ObjectIndexError(FastSAMError, IndexError):
    """An object is asked for by an index that the result does not have."""


class OutputError(FastSAMError, OSError):
    """A result cannot be written."""


class DownloadError(FastSAMError, OSError):
    """The file of a model's name is not here and cannot be fetched, or is another file than the catalogue's."""


class MissingPackageError(FastSAMError, ImportError):
    """An optional package is needed for this and is not installed."""


class ServerError(FastSAMError, RuntimeError):
    """The server cannot go on."""
