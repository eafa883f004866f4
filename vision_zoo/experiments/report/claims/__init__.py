"""The claims of the reports and their verdicts: `docs/CLAIMS.md`, generated from `results/`."""
