"""The messages of other systems' gRPC APIs, as far as Turnout reads or sends them, under names of our own."""
