"""walletwatch.tracing"""
