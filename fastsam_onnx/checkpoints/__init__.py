"""A PyTorch checkpoint as ONNX, without PyTorch and without running anything of it.

Nothing is imported here: opening an ONNX file asks `head` alone whether it is a checkpoint.
"""
