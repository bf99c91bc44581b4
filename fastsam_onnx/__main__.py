"""`python -m fastsam_onnx`."""

import sys

from fastsam_onnx.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
