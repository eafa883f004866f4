"""What every layer uses: errors, files, progress, tables, results, timing."""
