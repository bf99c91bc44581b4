"""`python -m fastsam_onnx`."""

import sys

from fastsam_onnx.cli import main

if __name__ == "__main__":
    sys.exit(main())
