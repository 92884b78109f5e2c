"""walletwatch.labels"""
