"""Proofmint's parts: `stages` are the verbs of dvc.yaml, every other folder a noun they use."""
