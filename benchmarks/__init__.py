"""What a chunk costs: ours, the SDK's and its peers', in one interleaved run."""
