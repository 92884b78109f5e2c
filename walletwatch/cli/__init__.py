"""walletwatch.cli"""
