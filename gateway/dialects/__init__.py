"""The APIs that callers speak: which deployment a request is for, and how each says that something is wrong. Pure."""
