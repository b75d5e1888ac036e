"""What the gateway and the deployer must agree on. Pure, and imports nothing of ours: both programs read it."""
