"""What the reports claimed, and whether it holds: `docs/CLAIMS.md`, generated from `results/`."""
