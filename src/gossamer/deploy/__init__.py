"""From a network to a file that runs: contract, runtimes, bundle, prediction."""
