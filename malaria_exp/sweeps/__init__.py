"""Many runs: grids, launchers and searches."""
