"""walletwatch.store"""
