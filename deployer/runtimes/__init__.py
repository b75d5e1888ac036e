"""What serves versions: a folder for each runtime, which holds all that is known of it; `registry.py` names them.

Pure but for what looks at files (`model.py`) and for the programs that are started in a runtime's own environment: a
launcher, and TensorFlow Serving's stand-in.
"""
