"""What the translations of all APIs share: fields, sampling, results. Pure."""
