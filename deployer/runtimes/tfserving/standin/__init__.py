"""Our stand-in for TensorFlow Serving: serves SavedModels with TensorFlow, over the same REST and gRPC APIs.

For machines without the real binary, which no package registry carries. It runs inside the environment of the runtime
`tfserving` as a program of its own, so nothing here may import the rest of Turnout or what that depends on. Where the
real server is known to answer in a certain way, this one does too, down to the text of errors; what differs is said in
the module concerned. It is not fast: one Python process.
"""
