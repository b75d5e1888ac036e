"""MLServer, and other servers of the Open Inference Protocol."""
